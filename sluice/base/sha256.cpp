#include "sluice/base/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "sluice/base/threads.h"

namespace sluice {
namespace {

// FIPS 180-4, 4.2.2.
constexpr std::array<std::uint32_t, 64> kRoundConstants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr std::size_t kPieceBytes = std::size_t{16} << 20;

std::uint32_t big_endian(const std::byte* at) {
  std::uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word = word << 8 | std::to_integer<std::uint32_t>(at[i]);
  return word;
}

}  // namespace

void Sha256::add(std::span<const std::byte> bytes) {
  num_bytes_ += bytes.size();
  if (num_rest_ > 0) {
    const std::size_t taken = std::min(bytes.size(), rest_.size() - num_rest_);
    std::copy_n(bytes.begin(), taken, rest_.begin() + static_cast<std::ptrdiff_t>(num_rest_));
    num_rest_ += taken;
    bytes = bytes.subspan(taken);
    if (num_rest_ < rest_.size()) return;
    add_block(rest_.data());
    num_rest_ = 0;
  }
  for (; bytes.size() >= rest_.size(); bytes = bytes.subspan(rest_.size())) add_block(bytes.data());
  std::copy(bytes.begin(), bytes.end(), rest_.begin());
  num_rest_ = bytes.size();
}

void Sha256::add_block(const std::byte* block) {
  std::array<std::uint32_t, 64> w;
  for (std::size_t t = 0; t < 16; ++t) w[t] = big_endian(block + 4 * t);
  for (std::size_t t = 16; t < 64; ++t) {
    const std::uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
    const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state_;
  for (std::size_t t = 0; t < 64; ++t) {
    const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25), choice = (e & f) ^ (~e & g);
    const std::uint32_t first = h + s1 + choice + kRoundConstants[t] + w[t];
    const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22), majority = (a & b) ^ (a & c) ^ (b & c);
    h = g;
    g = f;
    f = e;
    e = d + first;
    d = c;
    c = b;
    b = a;
    a = first + s0 + majority;
  }
  const std::array<std::uint32_t, 8> worked{a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < state_.size(); ++i) state_[i] += worked[i];
}

std::string Sha256::finish() {
  const std::uint64_t bits = num_bytes_ * 8;
  std::vector<std::byte> padding((num_rest_ < 56 ? 56 : 120) - num_rest_, std::byte{0});
  padding[0] = std::byte{0x80};
  for (int shift = 56; shift >= 0; shift -= 8) padding.push_back(static_cast<std::byte>(bits >> shift));
  add(padding);
  std::string digits;
  for (const std::uint32_t word : state_) {
    for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[word >> shift & 15];
  }
  return digits;
}

std::string content_hash(const fs::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  std::vector<std::string> pieces((bytes.size() + kPieceBytes - 1) / kPieceBytes);
  for_each_index(static_cast<std::int64_t>(pieces.size()), num_processors(), [&](std::int64_t i) {
    const std::size_t begin = static_cast<std::size_t>(i) * kPieceBytes;
    Sha256 piece;
    piece.add(bytes.subspan(begin, std::min(kPieceBytes, bytes.size() - begin)));
    pieces[static_cast<std::size_t>(i)] = piece.finish();
  });
  Sha256 whole;
  for (const std::string& piece : pieces) whole.add(piece);
  return whole.finish();
}

}  // namespace sluice
