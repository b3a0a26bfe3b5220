#include "sluice/text/split.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

struct Part {
  std::size_t begin, end;
  bool is_delimiter;
};

// The matches and the gaps between them, in order. for_each_match(text, visit) calls visit(Regex::Match) for each match.
template <class ForEachMatch>
void find_parts(std::string_view text, const ForEachMatch& for_each_match, Delimiters delimiters, std::vector<Part>& parts) {
  const bool match_is_delimiter = delimiters == Delimiters::kMatches;
  std::size_t last = 0;
  parts.clear();
  for_each_match(text, [&](Regex::Match match) {
    if (match.begin > last) parts.push_back({last, match.begin, !match_is_delimiter});
    parts.push_back({match.begin, match.end, match_is_delimiter});
    last = match.end;
  });
  if (last < text.size()) parts.push_back({last, text.size(), !match_is_delimiter});
}

// Joins `parts` as `behavior` says; each call looks at one part and the one before it.
void merge_parts(std::vector<Part>& parts, SplitBehavior behavior) {
  if (behavior == SplitBehavior::kIsolated) return;
  if (behavior == SplitBehavior::kRemoved) {
    std::erase_if(parts, [](const Part& part) { return part.is_delimiter; });
    return;
  }
  const bool backwards = behavior == SplitBehavior::kMergedWithNext;
  if (backwards) std::reverse(parts.begin(), parts.end());
  std::vector<Part> merged;
  bool previous_is_delimiter = false;
  for (const Part& part : parts) {
    const bool joins =
        behavior == SplitBehavior::kContiguous ? part.is_delimiter == previous_is_delimiter : part.is_delimiter && !previous_is_delimiter;
    if (joins && !merged.empty()) {
      merged.back() = {std::min(merged.back().begin, part.begin), std::max(merged.back().end, part.end), false};
    } else {
      merged.push_back(part);
    }
    previous_is_delimiter = part.is_delimiter;
  }
  if (backwards) std::reverse(merged.begin(), merged.end());
  parts = std::move(merged);
}

template <class ForEachMatch>
void split_at(Pieces& pieces, const ForEachMatch& for_each_match, SplitBehavior behavior, Delimiters delimiters) {
  std::vector<Pieces::Piece> out;
  out.reserve(pieces.pieces.size() + pieces.text.size() / 8);
  std::vector<Part> parts;
  for (const Pieces::Piece& piece : pieces.pieces) {
    find_parts(pieces.view(piece), for_each_match, delimiters, parts);
    merge_parts(parts, behavior);
    for (const Part& part : parts) {
      if (part.begin == part.end) continue;
      out.push_back({piece.begin + part.begin, piece.begin + part.end, piece.at_start && part.begin == 0});
    }
  }
  pieces.pieces = std::move(out);
}

}  // namespace

SplitBehavior split_behavior(const ComponentSpec& spec, const char* key, const char* fallback) {
  using enum SplitBehavior;
  static constexpr std::array<std::pair<const char*, SplitBehavior>, 5> kNames = {{{"Removed", kRemoved},
                                                                                   {"Isolated", kIsolated},
                                                                                   {"MergedWithPrevious", kMergedWithPrevious},
                                                                                   {"MergedWithNext", kMergedWithNext},
                                                                                   {"Contiguous", kContiguous}}};
  const std::string name = spec.text_or(key, fallback);
  for (const auto& [known, behavior] : kNames) {
    if (name == known) return behavior;
  }
  spec.fail("has the unknown " + std::string(key) + " \"" + name + "\"",
            "use Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

void split(Pieces& pieces, const Regex& pattern, SplitBehavior behavior, Delimiters delimiters) {
  split_at(
      pieces, [&](std::string_view text, const auto& visit) { pattern.for_each_match(text, visit); }, behavior, delimiters);
}

void split(Pieces& pieces, bool (*is_delimiter)(char32_t), SplitBehavior behavior) {
  const auto for_each_match = [&](std::string_view text, const auto& visit) {
    for (std::size_t at = 0; at < text.size();) {
      const auto [code, length] = utf8_at(text, at);
      if (is_delimiter(code)) visit(Regex::Match{at, at + length});
      at += length;
    }
  };
  split_at(pieces, for_each_match, behavior, Delimiters::kMatches);
}

}  // namespace sluice::text
