// SentencePiece's compiled normalization rules, which tokenizer.json holds in base64.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "sluice/text/normalizer.h"
#include "sluice/text/regex.h"

namespace sluice::text {

// Bytes: uint32 size of the trie in bytes; the trie, a darts-clone double array of uint32 (github.com/s-yata/darts-clone); the
// replacements, each ended by a NUL. All little endian. A key's value in the trie is where its replacement begins.
class PrecompiledCharsmap final : public Normalizer {
 public:
  explicit PrecompiledCharsmap(const ComponentSpec& spec);

  // HF's way, which is not SentencePiece's: a grapheme cluster of at most 5 bytes that begins with a key becomes that key's replacement
  // as a whole; else each of its characters that is a key does.
  std::string normalize(std::string text) const override;

 private:
  std::optional<std::string_view> replacement_of(std::string_view text) const;  // of the shortest key that `text` begins with
  std::uint32_t unit(std::size_t at) const;

  std::vector<std::uint32_t> trie_;
  std::string replacements_, where_;
  Regex clusters_;
};

}  // namespace sluice::text
