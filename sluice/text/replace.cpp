#include "sluice/text/replace.h"

namespace sluice::text {

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  std::size_t at = text.find(from);
  if (at == std::string::npos) return text;
  std::string out;
  std::size_t copied = 0;
  for (; at != std::string::npos; at = text.find(from, copied)) {
    out.append(text, copied, at - copied).append(to);
    copied = at + from.size();
  }
  return out.append(text, copied);
}

Replace::Replace(const ComponentSpec& spec) : content_(spec.text("content")) {
  const ComponentSpec pattern = spec.child("pattern");
  if (pattern.has("String")) {
    literal_ = pattern.text("String");
    if (literal_.empty()) spec.fail("replaces the empty string", "give a pattern of at least one character");
  } else {
    regex_.emplace(pattern_source(pattern), spec.where());
  }
}

std::string Replace::apply(std::string text) const {
  if (text.empty()) return text;  // where HF finds no match, not even an empty one
  if (!regex_) return replace_all(std::move(text), literal_, content_);
  std::string out;
  std::size_t copied = 0;
  regex_->for_each_match(text, [&](Regex::Match match) {
    out.append(text, copied, match.begin - copied).append(content_);
    copied = match.end;
  });
  return out.append(text, copied);
}

}  // namespace sluice::text
