// Post-processors of a tokenizer.json: they add the special tokens around a text's ids.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/text/component.h"

namespace sluice::text {

class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  // The ids of one text with the special tokens around them. Thread-safe.
  virtual std::vector<std::int32_t> apply(std::vector<std::int32_t> ids) const = 0;
};

// Sequence, ByteLevel, TemplateProcessing (its "single" template), RobertaProcessing, BertProcessing; Error for others.
std::unique_ptr<PostProcessor> make_post_processor(const ComponentSpec& spec);

}  // namespace sluice::text
