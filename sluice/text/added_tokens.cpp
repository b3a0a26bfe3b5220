#include "sluice/text/added_tokens.h"

#include <algorithm>

#include "sluice/text/regex.h"
#include "sluice/text/unicode.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

bool touches_word(std::string_view text, std::size_t begin, std::size_t end) {
  static const std::string word = "[" + std::string(kUnicodeWord) + "]";
  static const Regex before(word + "\\z", "added token"), after("\\A" + word, "added token");
  const auto matches = [](const Regex& pattern, std::string_view part) {
    bool found = false;
    pattern.for_each_match(part, [&](Regex::Match) { found = true; });
    return found;
  };
  std::size_t previous = begin;
  while (previous > 0 && (static_cast<unsigned char>(text[--previous]) & 0xC0) == 0x80) {
  }
  return matches(before, text.substr(previous, begin - previous)) ||
         (end < text.size() && matches(after, text.substr(end, utf8_at(text, end).length)));
}

}  // namespace

void TokenFinder::add(const AddedToken& token) {
  index_.set(token.content, static_cast<std::int32_t>(tokens_.size()));
  begins_token_[static_cast<unsigned char>(token.content.front())] = true;
  tokens_.push_back(token);
}

std::int32_t TokenFinder::match_at(std::string_view text, std::size_t at, std::size_t& end) const {
  std::int32_t found = -1;
  index_.for_each_prefix(text.substr(at), [&](std::size_t length, std::int32_t token) {
    found = token;
    end = at + length;
  });
  return found;
}

std::vector<TokenFinder::Part> TokenFinder::find(std::string_view text) const {
  std::vector<Part> parts;
  std::size_t covered = 0;  // the parts so far end here
  const auto text_until = [&](std::size_t end) {
    if (end > covered) parts.push_back({covered, end, -1});
  };
  for (std::size_t at = 0; !tokens_.empty() && at < text.size();) {
    std::size_t match_end = 0;
    const bool possible = begins_token_[static_cast<unsigned char>(text[at])];
    const std::int32_t index = possible ? match_at(text, at, match_end) : -1;
    if (index < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(index)];
    std::size_t begin = at, end = match_end;
    at = match_end;
    if (token.single_word && touches_word(text, begin, end)) continue;
    // White space that an earlier token took along stays with it.
    if (token.left_strip) begin = start_of_trailing_space(text.substr(0, begin));
    if (token.right_strip) end += end_of_leading_space(text.substr(end));
    begin = std::max(begin, covered);
    text_until(begin);
    parts.push_back({begin, std::max(end, begin), token.id});
    covered = std::max(end, begin);
  }
  text_until(text.size());
  return parts;
}

}  // namespace sluice::text
