// Normalizers of a tokenizer.json: text to text, before it is cut into words.
#pragma once
#include <memory>
#include <string>

#include "sluice/text/component.h"

namespace sluice::text {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // `text` is valid UTF-8, and so is the result. Thread-safe.
  virtual std::string normalize(std::string text) const = 0;
};

// Every normalizer of HF's tokenizers 0.23: Sequence, Prepend, Replace, the four Unicode forms, Lowercase, Strip, StripAccents, Nmt,
// ByteLevel, BertNormalizer, Precompiled. Error for others.
std::unique_ptr<Normalizer> make_normalizer(const ComponentSpec& spec);

}  // namespace sluice::text
