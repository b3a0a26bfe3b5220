#include "sluice/text/utf8.h"

#include <cstdint>
#include <cstring>

#include "sluice/base/error.h"

namespace sluice::text {
namespace {

struct Sequence {
  std::size_t length;  // bytes of the character, or of the maximal part of one that is cut or broken
  enum class State { kWhole, kBroken } state;
};

Sequence sequence_at(std::string_view bytes, std::size_t at) {
  using enum Sequence::State;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned lead = byte(at);
  if (lead < 0x80) return {1, kWhole};
  if (lead < 0xC2 || lead > 0xF4) return {1, kBroken};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Only the second byte's range depends on the lead: overlong forms, surrogates and codes past U+10FFFF are kept out there.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (at + i >= bytes.size()) return {i, kBroken};
    const unsigned next = byte(at + i);
    if (next < (i == 1 ? low : 0x80U) || next > (i == 1 ? high : 0xBFU)) return {i, kBroken};
  }
  return {length, kWhole};
}

}  // namespace

Utf8Char utf8_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[at + i])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

void append_utf8(std::string& out, char32_t code) {
  const auto push = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    push(code);
  } else if (code < 0x800) {
    push(0xC0 | code >> 6);
    push(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    push(0xE0 | code >> 12);
    push(0x80 | (code >> 6 & 0x3F));
    push(0x80 | (code & 0x3F));
  } else {
    push(0xF0 | code >> 18);
    push(0x80 | (code >> 12 & 0x3F));
    push(0x80 | (code >> 6 & 0x3F));
    push(0x80 | (code & 0x3F));
  }
}

std::size_t find_invalid_utf8(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    std::uint64_t eight = 0;  // plain ASCII, eight bytes at a time
    if (bytes.size() - at >= sizeof eight) {
      std::memcpy(&eight, bytes.data() + at, sizeof eight);
      if ((eight & 0x8080808080808080ULL) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    const Sequence sequence = sequence_at(bytes, at);
    if (sequence.state == Sequence::State::kBroken) return at;
    at += sequence.length;
  }
  return std::string_view::npos;
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const Sequence sequence = sequence_at(bytes, at);
    if (sequence.state == Sequence::State::kWhole) {
      out.append(bytes, at, sequence.length);
    } else {
      append_utf8(out, U'\uFFFD');
    }
    at += sequence.length;
  }
  return out;
}

void require_utf8(std::string_view bytes, std::string_view what) {
  const std::size_t at = find_invalid_utf8(bytes);
  if (at == std::string_view::npos) return;
  throw Error(std::string(what) + " is not valid UTF-8 at byte " + std::to_string(at), "convert it to UTF-8 (iconv -t UTF-8)");
}

}  // namespace sluice::text
