// Base64 (RFC 4648, section 4), in which tokenizer files hold bytes.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace sluice::text {

// The bytes; nothing when `encoded` is not base64 with its padding.
std::optional<std::string> base64_bytes(std::string_view encoded);

}  // namespace sluice::text
