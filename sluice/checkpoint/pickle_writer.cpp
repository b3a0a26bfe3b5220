#include "sluice/checkpoint/pickle_writer.h"

#include <bit>
#include <limits>

#include "sluice/base/error.h"

namespace sluice::checkpoint {
namespace {

void put(std::string& out, std::uint64_t value, int num_bytes) {  // little-endian
  for (int i = 0; i < num_bytes; ++i, value >>= 8) out.push_back(static_cast<char>(value & 0xFF));
}

}  // namespace

void PickleWriter::integer(std::int64_t value) {
  if (value >= 0 && value <= 0xFF) {
    bytes_ += 'K';
    put(bytes_, static_cast<std::uint64_t>(value), 1);
  } else if (value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max()) {
    bytes_ += 'J';
    put(bytes_, static_cast<std::uint64_t>(value), 4);
  } else {
    bytes_ += "\x8a\x08";  // a long of 8 bytes
    put(bytes_, static_cast<std::uint64_t>(value), 8);
  }
}

void PickleWriter::real(double value) {
  bytes_ += 'G';
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int shift = 56; shift >= 0; shift -= 8) bytes_.push_back(static_cast<char>(bits >> shift & 0xFF));  // big-endian
}

bool PickleWriter::recall(const std::string& key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) return false;
  bytes_ += found->second <= 0xFF ? 'h' : 'j';
  put(bytes_, found->second, found->second <= 0xFF ? 1 : 4);
  return true;
}

void PickleWriter::remember(const std::string& key) {
  const auto number = static_cast<std::uint32_t>(memo_.size());
  memo_.emplace(key, number);
  bytes_ += number <= 0xFF ? 'q' : 'r';
  put(bytes_, number, number <= 0xFF ? 1 : 4);
}

void PickleWriter::text(std::string_view value) {
  const std::string key = "t" + std::string(value);
  if (recall(key)) return;
  SLUICE_CHECK(value.size() <= std::numeric_limits<std::uint32_t>::max(), "a text of " + std::to_string(value.size()) + " bytes");
  bytes_ += 'X';
  put(bytes_, value.size(), 4);
  bytes_ += value;
  remember(key);
}

void PickleWriter::global(std::string_view module, std::string_view name) {
  const std::string key = "c" + std::string(module) + "\n" + std::string(name) + "\n";
  if (recall(key)) return;
  bytes_ += key;
  remember(key);
}

}  // namespace sluice::checkpoint
