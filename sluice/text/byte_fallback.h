// The tokens "<0x00>" to "<0xFF>", which stand for bytes where a character has no token.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sluice/text/vocabulary.h"

namespace sluice::text {

using ByteTokenIds = std::array<std::int32_t, 256>;  // -1 where a byte has no token

ByteTokenIds byte_token_ids(const Vocabulary& vocabulary);

// Appends the tokens of the bytes of `text`; false, with `ids` as they were, when one has none.
bool append_byte_tokens(const ByteTokenIds& byte_ids, std::string_view text, std::vector<std::int32_t>& ids);

}  // namespace sluice::text
