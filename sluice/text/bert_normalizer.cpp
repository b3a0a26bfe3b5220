#include "sluice/text/bert_normalizer.h"

#include "sluice/text/unicode.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

// The blocks of HF's bert.rs, which takes U+2B820 to U+2B91F for no ideographs.
bool is_ideograph(char32_t code) {
  return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) || (code >= 0x20000 && code <= 0x2A6DF) ||
         (code >= 0x2A700 && code <= 0x2B73F) || (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

// Appends what `rewrite` appends for each character.
template <class Rewrite>
std::string rewritten(std::string_view text, const Rewrite& rewrite) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, length] = utf8_at(text, at);
    rewrite(code, text.substr(at, length), out);
    at += length;
  }
  return out;
}

std::string cleaned(std::string_view text) {
  return rewritten(text, [](char32_t code, std::string_view character, std::string& out) {
    if (is_control(code)) return;
    if (is_white_space(code)) {
      out += ' ';
    } else {
      out += character;
    }
  });
}

std::string with_spaced_ideographs(std::string_view text) {
  return rewritten(text, [](char32_t code, std::string_view character, std::string& out) {
    const std::string_view space = is_ideograph(code) ? " " : "";
    out.append(space).append(character).append(space);
  });
}

}  // namespace

BertNormalizer::BertNormalizer(const ComponentSpec& spec)
    : clean_text_(spec.flag_or("clean_text", true)),
      handle_chinese_chars_(spec.flag_or("handle_chinese_chars", true)),
      lowercase_(spec.flag_or("lowercase", true)),
      strip_accents_(spec.flag_or("strip_accents", lowercase_)) {}

std::string BertNormalizer::normalize(std::string text) const {
  if (clean_text_) text = cleaned(text);
  if (handle_chinese_chars_) text = with_spaced_ideographs(text);
  if (strip_accents_) text = without(to_nfd(text), is_nonspacing_mark);
  if (lowercase_) text = to_lower(text);
  return text;
}

}  // namespace sluice::text
