#include "sluice/text/precompiled_charsmap.h"

#include <algorithm>
#include <cstring>

#include "sluice/text/base64.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

constexpr std::size_t kMaxClusterBytes = 5;

// A unit of a double array: a label in the lowest byte (bit 31 marks a value instead), a flag for "a key ends here", and the distance to
// its children.
std::uint32_t label_of(std::uint32_t unit) { return unit & (1U << 31 | 0xFF); }
bool ends_key(std::uint32_t unit) { return (unit >> 8 & 1) != 0; }
std::uint32_t offset_of(std::uint32_t unit) { return unit >> 10 << ((unit & 1U << 9) >> 6); }
std::uint32_t value_of(std::uint32_t unit) { return unit & ~(1U << 31); }

}  // namespace

PrecompiledCharsmap::PrecompiledCharsmap(const ComponentSpec& spec) : where_(spec.where()), clusters_(Regex::grapheme_clusters()) {
  const std::optional<std::string> bytes = base64_bytes(spec.text("precompiled_charsmap"));
  std::uint32_t size = 0;
  if (bytes && bytes->size() >= sizeof size) std::memcpy(&size, bytes->data(), sizeof size);
  if (!bytes || size < sizeof size || size % sizeof size != 0 || size > bytes->size() - sizeof size) {
    spec.fail("has a precompiled_charsmap that is not base64 of a trie and its replacements", "copy or download the file again");
  }
  trie_.resize(size / sizeof(std::uint32_t));
  std::memcpy(trie_.data(), bytes->data() + sizeof size, size);
  replacements_ = bytes->substr(sizeof size + size);
  require_utf8(replacements_, where_ + ": precompiled_charsmap");
}

std::uint32_t PrecompiledCharsmap::unit(std::size_t at) const {
  if (at < trie_.size()) return trie_[at];
  throw Error(where_ + " has a precompiled_charsmap whose trie points past its end", "copy or download the file again");
}

std::optional<std::string_view> PrecompiledCharsmap::replacement_of(std::string_view text) const {
  std::size_t node = offset_of(unit(0));
  for (const char c : text) {
    const std::uint32_t byte = static_cast<unsigned char>(c);
    if (byte == 0) break;
    node ^= byte;
    const std::uint32_t reached = unit(node);
    if (label_of(reached) != byte) break;
    node ^= offset_of(reached);
    if (!ends_key(reached)) continue;
    const std::size_t begin = value_of(unit(node));
    const std::size_t end = std::min(replacements_.find('\0', begin), replacements_.size());
    const bool whole = begin <= end && (begin == replacements_.size() || (replacements_[begin] & 0xC0) != 0x80);
    if (!whole)
      throw Error(where_ + " has a precompiled_charsmap whose replacements do not match its trie", "copy or download the file again");
    return std::string_view(replacements_).substr(begin, end - begin);
  }
  return std::nullopt;
}

std::string PrecompiledCharsmap::normalize(std::string text) const {
  std::string out;
  out.reserve(text.size());
  clusters_.for_each_match(text, [&](Regex::Match match) {
    const std::string_view cluster = std::string_view(text).substr(match.begin, match.end - match.begin);
    if (cluster.size() <= kMaxClusterBytes) {
      if (const auto replacement = replacement_of(cluster)) {
        out += *replacement;
        return;
      }
    }
    for (std::size_t at = 0; at < cluster.size();) {
      const std::string_view character = cluster.substr(at, utf8_at(cluster, at).length);
      out += replacement_of(character).value_or(character);
      at += character.size();
    }
  });
  return out;
}

}  // namespace sluice::text
