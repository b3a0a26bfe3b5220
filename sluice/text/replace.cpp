#include "sluice/text/replace.h"

namespace sluice::text {

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
  std::string out;
  std::size_t copied = 0;
  const auto replace = [&](std::size_t begin, std::size_t end) {
    out.append(text, copied, begin - copied).append(content_);
    copied = end;
  };
  if (regex_) {
    regex_->for_each_match(text, [&](Regex::Match match) { replace(match.begin, match.end); });
  } else {
    for (std::size_t at = 0; (at = text.find(literal_, at)) != std::string::npos; at += literal_.size()) replace(at, at + literal_.size());
  }
  if (copied == 0 && out.empty()) return text;
  return out.append(text, copied);
}

}  // namespace sluice::text
