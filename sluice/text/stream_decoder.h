// Text as it is generated, token by token.
#pragma once
#include "sluice/text/tokenizer.h"

namespace sluice::text {

// Turns ids into text as they come. What push() and flush() return, joined, is what decoding all ids at once gives, but for byte tokens
// that never make a whole character. Never returns a part of a character.
class StreamDecoder {
 public:
  // Refers to `tokenizer`, which outlives it.
  explicit StreamDecoder(const Tokenizer& tokenizer, DecodeSpecial special = DecodeSpecial::kKeep)
      : tokenizer_(&tokenizer), special_(special) {}

  // The text that `id` completes; empty while a character lacks bytes.
  std::string push(std::int32_t id);

  // The rest, with U+FFFD for a character that stayed incomplete. The next push() begins a new text.
  std::string flush();

 private:
  std::string waiting_text() const;

  const Tokenizer* tokenizer_;
  DecodeSpecial special_;
  // Tokens whose text has been returned, kept because the text of a token can depend on the ones before it; then those that wait.
  std::vector<std::int32_t> ids_;
  std::size_t num_shown_ = 0;
};

}  // namespace sluice::text
