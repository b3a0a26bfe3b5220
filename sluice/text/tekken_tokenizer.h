// Mistral's tekken files: a byte vocabulary in the order of its merges, and special tokens before it.
#pragma once
#include "sluice/text/bpe_merges.h"
#include "sluice/text/regex.h"
#include "sluice/text/tokenizer.h"
#include "sluice/text/vocabulary.h"

namespace sluice::text {

// Gives the ids of mistral-common 1.13: a match of the pattern is one token where the vocabulary has it whole, else its bytes, joined by
// rank; what lies between matches is dropped. Special tokens spelt in the text are plain text. kAdd puts BOS ("<s>") in front.
class TekkenTokenizer final : public Tokenizer {
 public:
  explicit TekkenTokenizer(const fs::path& path);               // tekken*.json or tekken*.json.gz
  TekkenTokenizer(const Json& json, const std::string& where);  // its content

  std::vector<std::int32_t> encode(std::string_view text, SpecialTokens add) const override;
  std::string decode(std::span<const std::int32_t> ids, DecodeSpecial special = DecodeSpecial::kKeep) const override;
  std::int64_t vocab_size() const override { return num_special() + ranks_.size(); }
  std::optional<std::int32_t> token_id(std::string_view token) const override;
  std::string token(std::int32_t id) const override;

 private:
  void read_special_tokens(const ComponentSpec& spec, std::int64_t count);
  void read_vocabulary(const ComponentSpec& spec, std::int64_t count);
  void make_merges();
  std::int32_t num_special() const { return static_cast<std::int32_t>(special_tokens_.size()); }
  const std::string* bytes_of(std::int32_t id) const;  // nullptr for special tokens and ids without a token

  std::vector<std::string> special_tokens_;  // by id
  Vocabulary ranks_;                         // bytes and ranks; a token's id is its rank + num_special()
  BpeMerges merges_;                         // of ranks
  Regex words_;
};

// Whether a file of this name is a tekken file.
bool is_tekken_name(std::string_view name);

}  // namespace sluice::text
