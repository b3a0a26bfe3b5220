#include "sluice/text/byte_fallback.h"

#include <algorithm>
#include <cstdio>

namespace sluice::text {

ByteTokenIds byte_token_ids(const Vocabulary& vocabulary) {
  ByteTokenIds ids;
  for (unsigned byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    ids[byte] = vocabulary.id(name).value_or(-1);
  }
  return ids;
}

bool append_byte_tokens(const ByteTokenIds& byte_ids, std::string_view text, std::vector<std::int32_t>& ids) {
  const auto id_of = [&](char byte) { return byte_ids[static_cast<unsigned char>(byte)]; };
  if (!std::all_of(text.begin(), text.end(), [&](char byte) { return id_of(byte) >= 0; })) return false;
  for (const char byte : text) ids.push_back(id_of(byte));
  return true;
}

}  // namespace sluice::text
