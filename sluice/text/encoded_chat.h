// A conversation as token ids, with the tokens that the assistant wrote marked.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sluice/text/assistant_spans.h"
#include "sluice/text/tokenizer.h"

namespace sluice::text {

struct EncodedChat {
  std::string text;
  std::vector<std::int32_t> ids;        // of the text, nothing added: a template writes its own special tokens
  std::vector<std::uint8_t> loss_mask;  // 1 for each token of an assistant's turn, its end token included; else 0. One for each id
};

// The ids of `text`, rendered by `chat`. Error when one of the template's special tokens in it is not one token to `tokenizer` (a .model
// reads them as plain text).
std::vector<std::int32_t> encode_chat_text(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& text);

// 1 for each of `ids`, which are `text` encoded without special tokens, that has a character in one of `spans`; else 0. Spans begin and
// end at characters. Error when the tokens' texts cannot be laid beside `text`.
std::vector<std::uint8_t> token_mask(const Tokenizer& tokenizer, const std::string& text, std::span<const std::int32_t> ids,
                                     std::span<const TextSpan> spans);

// Text, ids and mask of a conversation. jinja::Refusal where the template refuses it; Error as assistant_spans and the functions above.
EncodedChat encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat, const Conversation& conversation);

}  // namespace sluice::text
