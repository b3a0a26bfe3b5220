// HF's tokenizer.json: added tokens, normalizer, pre-tokenizer, model, post-processor, decoder.
#pragma once
#include <algorithm>

#include "sluice/text/added_tokens.h"
#include "sluice/text/decoder.h"
#include "sluice/text/model.h"
#include "sluice/text/normalizer.h"
#include "sluice/text/post_processor.h"
#include "sluice/text/pre_tokenizer.h"
#include "sluice/text/tokenizer.h"

namespace sluice::text {

// Gives the ids and the text that HF's `tokenizers` gives, without its truncation and padding.
class HfTokenizer final : public Tokenizer {
 public:
  explicit HfTokenizer(const fs::path& path);               // tokenizer.json or tokenizer.json.gz
  HfTokenizer(const Json& json, const std::string& where);  // its content; no BOS, EOS and padding ids

  std::vector<std::int32_t> encode(std::string_view text, SpecialTokens add) const override;
  std::string decode(std::span<const std::int32_t> ids, DecodeSpecial special = DecodeSpecial::kKeep) const override;
  std::int64_t vocab_size() const override { return std::max(vocabulary_.size(), added_.size()); }
  std::optional<std::int32_t> token_id(std::string_view token) const override;
  std::string token(std::int32_t id) const override;

 private:
  void read_added_tokens(const ComponentSpec& spec);

  const std::string* spelling(std::int32_t id) const;  // nullptr for an id without a token

  Vocabulary vocabulary_;                   // the model's tokens
  Vocabulary added_;                        // those added tokens that the model does not have, and must not find in a text
  std::unique_ptr<Normalizer> normalizer_;  // each may be absent, but for the model
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<PostProcessor> post_processor_;
  std::unique_ptr<Decoder> decoder_;
  TokenFinder in_raw_text_, in_normalized_text_;
  std::vector<bool> is_special_;  // by id
  // How decoding spells a token that is looked for in normalized text: normalized, as in HF's tokenizers 0.23.
  std::unordered_map<std::int32_t, std::string> normalized_spelling_;
};

}  // namespace sluice::text
