#include "sluice/data/shuffle.h"

#include <bit>

#include "sluice/base/error.h"
#include "sluice/base/rng.h"

namespace sluice::data {
namespace {

// Four rounds make a random permutation of a large domain (Luby and Rackoff); small domains mix slower.
constexpr std::uint64_t kRounds = 8;
constexpr std::uint64_t kKeySalt = 0xD3A7'0F5E'61C9'2B84ull;  // keeps these numbers apart from others drawn with the same seed

}  // namespace

std::int64_t shuffled(std::int64_t position, std::int64_t count, std::uint64_t seed, std::uint64_t epoch) {
  SLUICE_CHECK(position >= 0 && position < count, "position " + std::to_string(position) + " of " + std::to_string(count));
  const int half_bits = (static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count - 1))) + 1) / 2;
  if (half_bits == 0) return 0;  // one row
  const std::uint64_t mask = (std::uint64_t{1} << half_bits) - 1;
  auto value = static_cast<std::uint64_t>(position);
  do {
    std::uint64_t left = value >> half_bits, right = value & mask;
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      // The counter holds the round above the half's 32 bits at most: count < 2^63.
      const std::uint64_t mixed = left ^ (philox(seed ^ kKeySalt, (round << 32) | right, epoch)[0] & mask);
      left = right;
      right = mixed;
    }
    value = (left << half_bits) | right;
  } while (value >= static_cast<std::uint64_t>(count));
  return static_cast<std::int64_t>(value);
}

}  // namespace sluice::data
