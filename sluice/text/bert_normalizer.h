// The normalizer of BERT's tokenizers.
#pragma once
#include "sluice/text/normalizer.h"

namespace sluice::text {

// In this order, each where its flag says so: control characters go and white space becomes spaces (clean_text), spaces around CJK
// ideographs (handle_chinese_chars), accents go (strip_accents, by default where lowercase is set), lower case.
class BertNormalizer final : public Normalizer {
 public:
  explicit BertNormalizer(const ComponentSpec& spec);
  std::string normalize(std::string text) const override;

 private:
  bool clean_text_, handle_chinese_chars_, lowercase_, strip_accents_;
};

}  // namespace sluice::text
