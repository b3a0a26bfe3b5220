#include "sluice/text/jinja/text_operations.h"

#include <algorithm>

#include "sluice/text/jinja/characters.h"
#include "sluice/text/jinja/value.h"
#include "sluice/text/regex.h"
#include "sluice/text/utf8.h"

namespace sluice::text::jinja {
namespace {

std::size_t start_of_last(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

std::vector<std::string> split_at_space(std::string_view text, std::int64_t count, Sides from) {
  std::vector<std::string> parts;
  // The side that cuts start from loses its white space; what is left after the last cut keeps that of the other.
  text = from == Sides::kLeft ? text.substr(leading_space(text)) : text.substr(0, trailing_space(text));
  while (!text.empty() && count-- != 0) {
    std::size_t begin = from == Sides::kLeft ? 0 : text.size(), end = begin;
    if (from == Sides::kLeft) {
      while (end < text.size() && !is_space(utf8_at(text, end).code)) end += utf8_at(text, end).length;
      parts.emplace_back(text.substr(0, end));
      text = text.substr(end);
      text = text.substr(leading_space(text));
    } else {
      while (begin > 0 && !is_space(utf8_at(text, start_of_last(text.substr(0, begin))).code)) begin = start_of_last(text.substr(0, begin));
      parts.emplace_back(text.substr(begin));
      text = text.substr(0, trailing_space(text.substr(0, begin)));
    }
  }
  if (!text.empty()) parts.emplace_back(text);
  if (from == Sides::kRight) std::ranges::reverse(parts);
  return parts;
}

}  // namespace

std::string strip(std::string_view text, const std::optional<std::string>& set, Sides sides) {
  const auto drops = [&](std::size_t at) {
    const auto [code, length] = utf8_at(text, at);
    if (!set) return is_space(code);
    for (std::size_t i = 0; i < set->size(); i += utf8_at(*set, i).length) {
      if (utf8_at(*set, i).code == code) return true;
    }
    return false;
  };
  while (sides != Sides::kRight && !text.empty() && drops(0)) text.remove_prefix(utf8_at(text, 0).length);
  while (sides != Sides::kLeft && !text.empty() && drops(start_of_last(text))) text = text.substr(0, start_of_last(text));
  return std::string(text);
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to, std::int64_t count, Budget& budget) {
  std::string out;
  std::size_t copied = 0;
  if (from.empty()) {  // before each character and at the end
    for (std::size_t at = 0; at <= text.size() && count-- != 0;) {
      budget.charge_text(to.size());
      out += to;
      if (at == text.size()) return out;
      copied = at + utf8_at(text, at).length;
      out += text.substr(at, copied - at);
      at = copied;
    }
    return out.append(text.substr(copied));
  }
  for (std::size_t at = text.find(from); at != std::string_view::npos && count-- != 0; at = text.find(from, copied)) {
    budget.charge_text(at - copied + to.size());
    out.append(text.substr(copied, at - copied)).append(to);
    copied = at + from.size();
  }
  return out.append(text.substr(copied));
}

std::vector<std::string> split(std::string_view text, const std::optional<std::string>& separator, std::int64_t count, Sides from) {
  if (!separator) return split_at_space(text, count, from);
  if (separator->empty()) throw Fault("splits by an empty string");
  std::vector<std::string> parts;
  while (count-- != 0) {
    const std::size_t at = from == Sides::kLeft ? text.find(*separator) : text.rfind(*separator);
    if (at == std::string_view::npos) break;
    const std::string_view before = text.substr(0, at), after = text.substr(at + separator->size());
    parts.emplace_back(from == Sides::kLeft ? before : after);
    text = from == Sides::kLeft ? after : before;
  }
  parts.emplace_back(text);
  if (from == Sides::kRight) std::ranges::reverse(parts);
  return parts;
}

std::vector<std::string> split_lines(std::string_view text, LineEnds ends) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, length] = utf8_at(text, at);
    const std::size_t end = at;
    at += length;
    const bool breaks = (code >= 0xA && code <= 0xD) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 || code == 0x2029;
    if (!breaks) continue;
    if (code == U'\r' && at < text.size() && text[at] == '\n') ++at;
    lines.emplace_back(text.substr(begin, (ends == LineEnds::kKeep ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return lines;
}

std::string justified(std::string_view text, std::int64_t width, std::string_view pad, Sides text_at, Budget& budget) {
  if (length_of(Value(pad)) != 1) throw Fault("fills a string up with other than one character");
  const auto length = static_cast<std::int64_t>(length_of(Value(text)));
  if (width <= length) return std::string(text);
  const auto missing = static_cast<std::size_t>(width - length);
  if (missing > kMaxWork) throw Fault("fills a string up to more than the limit");
  budget.charge_text(missing * pad.size() + text.size());
  // Python's centre puts the odd one to the left where the width is odd.
  const std::size_t middle = missing / 2 + (missing & static_cast<std::size_t>(width) & 1);
  const std::size_t left = text_at == Sides::kLeft ? 0 : text_at == Sides::kRight ? missing : middle;
  std::string out;
  for (std::size_t i = 0; i < left; ++i) out += pad;
  out += text;
  for (std::size_t i = left; i < missing; ++i) out += pad;
  return out;
}

bool is_word(std::string_view character) {
  static const Regex word("[" + std::string(kUnicodeWord) + "]", "word");
  bool found = false;
  word.for_each_match(character, [&](Regex::Match) { found = true; });
  return found;
}

}  // namespace sluice::text::jinja
