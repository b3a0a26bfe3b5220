// SHA-256 (FIPS 180-4): names what a file holds.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sluice/base/file.h"

namespace sluice {

class Sha256 {
 public:
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  // 64 hexadecimal digits; nothing can be added afterwards.
  std::string finish();

 private:
  void add_block(const std::byte* block);

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> rest_{};  // of bytes that do not fill a block yet
  std::size_t num_rest_ = 0;
  std::uint64_t num_bytes_ = 0;
};

// A name for a file's bytes: the hash of the hashes of its pieces of 16 MiB, which are taken on all processors. Error when it cannot be read.
std::string content_hash(const fs::path& path);

}  // namespace sluice
