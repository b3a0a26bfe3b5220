#include "sluice/text/script_runs.h"

#include <algorithm>
#include <iterator>

#include "sluice/text/unicode_tables.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

constexpr int kNoScript = -1;

int script_of(char32_t code) {
  const auto ranges = script_ranges();
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code, [](char32_t c, const ScriptRange& r) { return c < r.first; });
  if (after == ranges.begin() || code > std::prev(after)->last) return kNoScript;
  return std::prev(after)->script;
}

}  // namespace

void ScriptRuns::apply(Pieces& pieces) const {
  std::vector<Pieces::Piece> out;
  for (const Pieces::Piece& piece : pieces.pieces) {
    int last = kNoScript;  // the script of the run that goes on
    for (std::size_t at = piece.begin; at < piece.end;) {
      const auto [code, length] = utf8_at(pieces.text, at);
      const int script = script_of(code);
      if (script != kNoScript && script != last) {
        out.push_back({at, at, piece.at_start && at == piece.begin});
        last = script;
      }
      at += length;
      if (last != kNoScript) out.back().end = at;
    }
  }
  pieces.pieces = std::move(out);
}

}  // namespace sluice::text
