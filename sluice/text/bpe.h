// Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) as HF's tokenizer.json defines it.
#pragma once
#include <array>
#include <optional>
#include <string>

#include "sluice/text/model.h"
#include "sluice/text/pair_table.h"

namespace sluice::text {

// A piece begins as its characters and joins, again and again, the neighbouring pair of lowest rank, the leftmost of equals:
// O(n log n) in the piece's length. A character that is no token becomes the tokens of its bytes (byte_fallback), else the unknown token,
// else nothing.
class Bpe final : public Model {
 public:
  Bpe(const ComponentSpec& spec, Vocabulary& vocabulary);
  void tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const override;

 private:
  struct Merge {
    std::int32_t rank, id;  // lower ranks first; the token that the pair becomes
  };
  struct Symbol {
    std::int32_t id;              // -1 once merged away
    std::int32_t previous, next;  // -1 at the ends
  };
  struct Candidate {
    std::int32_t rank, position, id;
  };
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  void read_merges(const ComponentSpec& spec);
  void add_characters(std::string_view piece, std::vector<Symbol>& symbols) const;
  std::int32_t character_id(std::string_view character, bool is_first, bool is_last) const;  // -1 when it is no token
  static void merge_few(const PairTable<Merge>& merges, std::vector<Symbol>& symbols);
  static void merge_many(const PairTable<Merge>& merges, Scratch& scratch);

  const Vocabulary* vocabulary_;
  PairTable<Merge> merges_;
  std::string continuing_prefix_, end_suffix_;  // of characters that are not first, and of the last one
  std::optional<std::int32_t> unknown_;
  bool fuse_unknown_, ignore_merges_;
  std::optional<std::array<std::int32_t, 256>> byte_ids_;  // with byte_fallback; -1 where a byte has no token
  std::array<std::int32_t, 512> short_ids_{};              // character_id of U+0000 to U+01FF where prefix and suffix are empty
};

}  // namespace sluice::text
