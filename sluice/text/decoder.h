// Decoders of a tokenizer.json: from token strings back to text.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "sluice/text/component.h"

namespace sluice::text {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Rewrites the token strings; their concatenation is the text, valid UTF-8. Thread-safe.
  virtual void decode(std::vector<std::string>& tokens) const = 0;
};

// Every decoder of HF's tokenizers 0.23: Sequence, ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, BPEDecoder, WordPiece, CTC.
// Error for others.
std::unique_ptr<Decoder> make_decoder(const ComponentSpec& spec);

}  // namespace sluice::text
