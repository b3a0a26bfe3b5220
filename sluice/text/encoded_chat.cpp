#include "sluice/text/encoded_chat.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/text/stream_decoder.h"

namespace sluice::text {
namespace {

// Where the tokens stand in their own text, which may differ from what was encoded: a tokenizer may normalize, or add a space.
struct DecodedTokens {
  std::string text;
  std::vector<TextSpan> spans;  // bytes; tokens that make one character together all have that character's
};

DecodedTokens decode_tokens(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  DecodedTokens decoded;
  StreamDecoder stream(tokenizer);
  std::size_t waiting = 0;  // the first token whose character is not whole yet
  const auto take = [&](const std::string& piece) {
    const std::size_t begin = decoded.text.size();
    decoded.text += piece;
    if (piece.empty()) return;
    for (; waiting < decoded.spans.size(); ++waiting) decoded.spans[waiting] = {begin, decoded.text.size()};
  };
  for (const std::int32_t id : ids) {
    decoded.spans.push_back({decoded.text.size(), decoded.text.size()});
    take(stream.push(id));
  }
  take(stream.flush());
  return decoded;
}

}  // namespace

std::vector<std::int32_t> encode_chat_text(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& text) {
  for (const auto& [role, value] : chat.special_tokens().items()) {
    const auto& token = value.get_ref<const std::string&>();
    if (token.empty() || text.find(token) == std::string::npos) continue;
    const std::vector<std::int32_t> ids = tokenizer.encode(token, SpecialTokens::kNone);
    if (ids.size() == 1 && tokenizer.token_id(token) == ids[0]) continue;
    throw Error("the chat template writes the " + role + " \"" + token + "\", which this tokenizer does not read as one token",
                "use a folder with a tokenizer.json: the text of a special token is plain text to a tokenizer.model");
  }
  return tokenizer.encode(text, SpecialTokens::kNone);
}

std::vector<std::uint8_t> token_mask(const Tokenizer& tokenizer, const std::string& text, std::span<const std::int32_t> ids,
                                     std::span<const TextSpan> spans) {
  std::vector<std::uint8_t> mask(ids.size(), 0);
  if (spans.empty()) return mask;
  const DecodedTokens decoded = decode_tokens(tokenizer, ids);
  // Where in the tokens' text the first `end` bytes of `text` end: what these bytes alone are encoded and decoded to.
  const auto place = [&](std::size_t end) {
    if (decoded.text == text) return end;
    const std::string part = tokenizer.decode(tokenizer.encode(std::string_view(text).substr(0, end), SpecialTokens::kNone));
    if (decoded.text.starts_with(part)) return part.size();
    throw Error("the tokens' own text differs from the rendered conversation before byte " + std::to_string(end),
                "use the tokenizer that the chat template belongs to");
  };
  for (const TextSpan& span : spans) {
    const std::size_t begin = place(span.begin), end = place(span.end);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const TextSpan& token = decoded.spans[i];
      const bool silent_inside = token.begin == token.end && token.begin > begin && token.begin < end;
      if ((token.begin < end && token.end > begin) || silent_inside) mask[i] = 1;
    }
  }
  return mask;
}

EncodedChat encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat, const Conversation& conversation) {
  jinja::Template::Rendered rendered = chat.render(conversation);
  EncodedChat encoded;
  encoded.ids = encode_chat_text(tokenizer, chat, rendered.text);
  encoded.loss_mask = token_mask(tokenizer, rendered.text, encoded.ids, assistant_spans(chat, conversation, rendered));
  encoded.text = std::move(rendered.text);
  return encoded;
}

}  // namespace sluice::text
