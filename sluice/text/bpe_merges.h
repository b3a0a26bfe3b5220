// The merges of a byte-pair encoding, and what they make of a word's symbols.
#pragma once
#include <cstdint>
#include <vector>

#include "sluice/text/pair_table.h"

namespace sluice::text {

class BpeMerges {
 public:
  explicit BpeMerges(std::size_t expected = 0) : merges_(expected) {}

  // The pair (left, right) becomes `id`; pairs of lower rank go first. Over an earlier merge of the pair.
  void set(std::int32_t left, std::int32_t right, std::int32_t rank, std::int32_t id) { merges_.set(left, right, {rank, id}); }

  // Memory for apply(), to be used again and again by one thread at a time.
  class Scratch {
    friend BpeMerges;
    struct Symbol {
      std::int32_t id;              // -1 once merged away
      std::int32_t previous, next;  // -1 at the ends
    };
    struct Candidate {
      std::int32_t rank, position, id;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  // Joins in `ids`, again and again, the neighbouring pair of lowest rank, the leftmost of equals, until no pair can be joined:
  // O(n log n) in their number.
  void apply(std::vector<std::int32_t>& ids, Scratch& scratch) const;

 private:
  struct Merge {
    std::int32_t rank, id;
  };
  void apply_to_few(std::vector<std::int32_t>& ids) const;
  void apply_to_many(std::vector<std::int32_t>& ids, Scratch& scratch) const;

  PairTable<Merge> merges_;
};

}  // namespace sluice::text
