#include "sluice/text/byte_level.h"

#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

constexpr char32_t kCharacterLimit = 0x100 + 68;  // 68 bytes are not printable

constexpr bool printable(unsigned byte) { return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE; }

constexpr std::array<char32_t, 256> make_characters() {
  std::array<char32_t, 256> characters{};
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) characters[byte] = printable(byte) ? byte : next++;
  return characters;
}

constexpr std::array<char32_t, 256> kCharacters = make_characters();

// -1 where a character stands for no byte.
constexpr std::array<int, kCharacterLimit> make_bytes() {
  std::array<int, kCharacterLimit> bytes{};
  bytes.fill(-1);
  for (unsigned byte = 0; byte < 256; ++byte) bytes[kCharacters[byte]] = static_cast<int>(byte);
  return bytes;
}

constexpr std::array<int, kCharacterLimit> kBytes = make_bytes();

}  // namespace

const std::array<char32_t, 256>& byte_characters() { return kCharacters; }

void append_byte_level(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) append_utf8(out, kCharacters[static_cast<unsigned char>(byte)]);
}

std::optional<std::string> byte_level_bytes(std::string_view token) {
  std::string out;
  for (std::size_t at = 0; at < token.size();) {
    const Utf8Char character = utf8_at(token, at);
    if (character.code >= kCharacterLimit || kBytes[character.code] < 0) return std::nullopt;
    out.push_back(static_cast<char>(kBytes[character.code]));
    at += character.length;
  }
  return out;
}

}  // namespace sluice::text
