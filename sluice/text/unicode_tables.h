// The Unicode Character Database, as far as normalizers need it. Each table is sorted by its first column.
#pragma once
#include <cstdint>
#include <span>

namespace sluice::text {

// A canonical decomposition: one character, or two; `composes` where NFC puts the two together again.
struct Decomposition {
  std::uint32_t code, first, second;  // second is 0 for a single character
  bool composes;
};

// The characters from `first` to `last` have the canonical combining class `value`; characters in no range have class 0.
struct CombiningRange {
  std::uint32_t first, last;
  std::uint8_t value;
};

// Every `step`-th character from `first` to `last` has its lower case at distance `delta`.
struct LowerRange {
  std::uint32_t first, last, step;
  std::int32_t delta;
};

std::span<const Decomposition> decompositions();
std::span<const CombiningRange> combining_ranges();
std::span<const LowerRange> lower_ranges();

}  // namespace sluice::text
