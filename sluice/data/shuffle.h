// The order of the rows in an epoch, as a function that needs no memory.
#pragma once
#include <cstdint>

namespace sluice::data {

enum class Shuffle { kOff, kOn };  // kOff: the order of the file in every epoch

// Where `position` of epoch `epoch` points: for fixed (count, seed, epoch) a bijection of 0 .. count-1. Constant time and memory: a
// Feistel network over the next power of four, walked until it lands inside (Black and Rogaway, CT-RSA 2002), with Philox as its round
// function.
std::int64_t shuffled(std::int64_t position, std::int64_t count, std::uint64_t seed, std::uint64_t epoch);

}  // namespace sluice::data
