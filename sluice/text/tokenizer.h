// Text to token ids and back.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"

namespace sluice::text {

// Whether encoding adds what the tokenizer puts around a text: what the post-processor of a tokenizer.json adds, the BOS of a .model.
enum class SpecialTokens { kAdd, kNone };

// Whether decoding shows special tokens ("</s>") or leaves them out. A .model's control tokens never have text.
enum class DecodeSpecial { kKeep, kSkip };

// The special tokens that a model's users need by role.
struct SpecialIds {
  std::optional<std::int32_t> bos, eos, pad;
};

// All const calls are thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The ids of `text`. Special tokens spelt in the text are recognised by a tokenizer.json and are plain text to a .model, as in HF's
  // `tokenizers` and in SentencePiece. Never truncates. Error when `text` is not valid UTF-8.
  virtual std::vector<std::int32_t> encode(std::string_view text, SpecialTokens add) const = 0;

  // The text of `ids`, valid UTF-8 (U+FFFD for bytes that are not). Ids without a token have no text.
  virtual std::string decode(std::span<const std::int32_t> ids, DecodeSpecial special = DecodeSpecial::kKeep) const = 0;

  // The highest id + 1, added tokens included; a model's embedding has at least as many rows.
  virtual std::int64_t vocab_size() const = 0;

  virtual std::optional<std::int32_t> token_id(std::string_view token) const = 0;

  // The token as its file spells it; empty for an id without a token.
  virtual std::string token(std::int32_t id) const = 0;

  // From the .model, and from tokenizer_config.json or special_tokens_map.json beside the tokenizer's file.
  std::optional<std::int32_t> bos_id() const { return special_.bos; }
  std::optional<std::int32_t> eos_id() const { return special_.eos; }
  std::optional<std::int32_t> pad_id() const { return special_.pad; }

 protected:
  SpecialIds special_;
};

// A folder's tokenizer: the first of tokenizer.json, tokenizer.json.gz, tekken*.json[.gz] and tokenizer.model in it. A file goes by its
// name. Error when there is none, when it is not whole, or when it uses what is not supported.
std::unique_ptr<Tokenizer> open_tokenizer(const fs::path& folder_or_file);

// The files of `folder` that belong to its tokenizer and go with an exported model; those that exist, sorted by name.
std::vector<fs::path> tokenizer_files(const fs::path& folder);

}  // namespace sluice::text
