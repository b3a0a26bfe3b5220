#include "sluice/text/split.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice::text {
namespace {

struct Part {
  std::size_t begin, end;
  bool is_delimiter;
};

// The matches and the gaps between them, in order.
void find_parts(std::string_view text, const Regex& pattern, Delimiters delimiters, std::vector<Part>& parts) {
  const bool match_is_delimiter = delimiters == Delimiters::kMatches;
  std::size_t last = 0;
  parts.clear();
  pattern.for_each_match(text, [&](Regex::Match match) {
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
  std::vector<Pieces::Piece> out;
  out.reserve(pieces.pieces.size() + pieces.text.size() / 8);
  std::vector<Part> parts;
  for (const Pieces::Piece& piece : pieces.pieces) {
    find_parts(pieces.view(piece), pattern, delimiters, parts);
    merge_parts(parts, behavior);
    for (const Part& part : parts) {
      if (part.begin == part.end) continue;
      out.push_back({piece.begin + part.begin, piece.begin + part.end, piece.at_start && part.begin == 0});
    }
  }
  pieces.pieces = std::move(out);
}

}  // namespace sluice::text
