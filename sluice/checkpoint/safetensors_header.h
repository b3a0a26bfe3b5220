// The JSON header of a safetensors file, taken apart while it is read, so that a hostile one costs no more memory than its tensors.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/checkpoint/safetensors.h"

namespace sluice::checkpoint {

struct HeaderEntry {
  TensorSpec spec;
  std::uint64_t begin = 0, end = 0;  // byte range within the data, as the header claims it
};

struct Header {
  std::vector<HeaderEntry> entries;  // in the header's order
  std::map<std::string, std::string> metadata;
};

// Error naming `where` when `text` is not a header: not JSON, an unknown or repeated field, a missing one, an unknown type, a number
// that is not a whole one. Whether byte ranges agree with shapes and with the file is the caller's to check; names may repeat.
Header parse_header(std::string_view text, const std::string& where);

}  // namespace sluice::checkpoint
