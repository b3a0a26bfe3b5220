#include "sluice/base/crc32c.h"

#include <nmmintrin.h>

#include <array>
#include <cstring>

namespace sluice {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0x82F63B78u : 0);  // the polynomial, bit-reversed
    table[i] = value;
  }
  return table;
}
constexpr auto kTable = make_table();

std::uint32_t by_table(const std::byte* data, std::size_t size, std::uint32_t crc) {
  for (std::size_t i = 0; i < size; ++i) crc = kTable[(crc ^ static_cast<std::uint32_t>(data[i])) & 0xFF] ^ (crc >> 8);
  return crc;
}

__attribute__((target("sse4.2"))) std::uint32_t by_instruction(const std::byte* data, std::size_t size, std::uint32_t crc) {
  std::uint64_t wide = crc;
  for (; size >= 8; data += 8, size -= 8) {
    std::uint64_t word;
    std::memcpy(&word, data, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  return by_table(data, size, static_cast<std::uint32_t>(wide));
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t previous) {
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  const std::uint32_t start = ~previous;
  return ~(has_instruction ? by_instruction(bytes.data(), bytes.size(), start) : by_table(bytes.data(), bytes.size(), start));
}

}  // namespace sluice
