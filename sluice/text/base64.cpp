#include "sluice/text/base64.h"

#include <array>
#include <cstdint>

namespace sluice::text {
namespace {

constexpr std::array<std::int8_t, 256> make_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kDigits.size(); ++i) values[static_cast<unsigned char>(kDigits[i])] = static_cast<std::int8_t>(i);
  return values;
}

constexpr std::array<std::int8_t, 256> kValues = make_values();  // -1 for what is no digit

}  // namespace

std::optional<std::string> base64_bytes(std::string_view encoded) {
  if (encoded.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = encoded.ends_with("==") ? 2 : encoded.ends_with('=') ? 1 : 0;
  encoded.remove_suffix(padding);
  std::string bytes;
  bytes.reserve(encoded.size() * 3 / 4);
  std::uint32_t bits = 0;
  int num_bits = 0;
  for (const char digit : encoded) {
    const std::int8_t value = kValues[static_cast<unsigned char>(digit)];
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0xFFFFFF;
    num_bits += 6;
    if (num_bits < 8) continue;
    num_bits -= 8;
    bytes.push_back(static_cast<char>(bits >> num_bits & 0xFF));
  }
  const bool rest_is_zero = (bits & ((1U << num_bits) - 1)) == 0;
  return rest_is_zero ? std::optional(bytes) : std::nullopt;
}

}  // namespace sluice::text
