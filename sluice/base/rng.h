// Random numbers as a function of (seed, stream, index): nothing to save, the same under every layout and after every resume.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace sluice {

// Philox 4x32-10 (Salmon et al., SC 2011): four 32-bit words for each 128-bit counter under a 64-bit key.
std::array<std::uint32_t, 4> philox(std::uint64_t key, std::uint64_t counter_low, std::uint64_t counter_high);

// The first two of them as one number, to seed another generator with.
std::uint64_t philox_seed(std::uint64_t key, std::uint64_t counter_low, std::uint64_t counter_high);

// A key or stream number for a name: FNV-1a, 64 bits.
std::uint64_t hash_name(std::string_view name);

// A stream of numbers; equal (seed, stream) gives equal numbers on every machine. Copyable; `position` is all its state.
class Rng {
 public:
  Rng(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}
  std::uint64_t next();                            // 64 random bits
  double uniform();                                // [0, 1), 53 bits
  double normal();                                 // mean 0, variance 1 (Box-Muller)
  std::uint64_t below(std::uint64_t limit);        // [0, limit), unbiased; limit > 0
  std::uint64_t position() const { return position_; }
  void set_position(std::uint64_t position) { position_ = position; }

 private:
  std::uint64_t seed_, stream_, position_ = 0;
};

// The order of `count` items in epoch `epoch`: a Fisher-Yates shuffle that depends on (seed, epoch) alone.
std::vector<std::int64_t> permutation(std::int64_t count, std::uint64_t seed, std::uint64_t epoch);

}  // namespace sluice
