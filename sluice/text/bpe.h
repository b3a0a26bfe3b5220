// Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) as HF's tokenizer.json defines it.
#pragma once
#include <array>
#include <optional>
#include <string>

#include "sluice/text/bpe_merges.h"
#include "sluice/text/byte_fallback.h"
#include "sluice/text/model.h"

namespace sluice::text {

// A piece begins as its characters and joins, again and again, the neighbouring pair of lowest rank, the leftmost of equals:
// O(n log n) in the piece's length. A character that is no token becomes the tokens of its bytes (byte_fallback), else the unknown token,
// else nothing.
class Bpe final : public Model {
 public:
  Bpe(const ComponentSpec& spec, Vocabulary& vocabulary);
  void tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const override;

 private:
  void read_merges(const ComponentSpec& spec);
  void add_characters(std::string_view piece, std::vector<std::int32_t>& symbols) const;
  std::int32_t character_id(std::string_view character, bool is_first, bool is_last) const;  // -1 when it is no token

  const Vocabulary* vocabulary_;
  BpeMerges merges_;
  std::string continuing_prefix_, end_suffix_;  // of characters that are not first, and of the last one
  std::optional<std::int32_t> unknown_;
  bool fuse_unknown_, ignore_merges_;
  bool words_are_apart_ = false;               // no merge has a word mark after another character
  std::optional<ByteTokenIds> byte_ids_;       // with byte_fallback
  std::array<std::int32_t, 512> short_ids_{};  // character_id of U+0000 to U+01FF where prefix and suffix are empty
};

}  // namespace sluice::text
