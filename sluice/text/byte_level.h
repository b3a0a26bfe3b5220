// GPT-2's reversible map between bytes and printable characters (Radford et al. 2019, encoder.py: bytes_to_unicode).
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::text {

// GPT-2's pattern for splitting text into words.
inline constexpr std::string_view kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Each byte's character: itself where printable (! to ~, U+A1 to U+AC, U+AE to U+FF), else U+100 and up in the order of the bytes.
const std::array<char32_t, 256>& byte_characters();

// Appends each byte of `bytes` as its character, in UTF-8.
void append_byte_level(std::string& out, std::string_view bytes);

// The bytes that the characters of `token` stand for; nothing when a character stands for none.
std::optional<std::string> byte_level_bytes(std::string_view token);

}  // namespace sluice::text
