// What became of the conversations of a file.
#pragma once
#include <cstdint>

namespace sluice::data {

struct ConversationCounts {
  std::int64_t rows = 0, conversations = 0, filtered = 0;       // as InstructCounts
  std::int64_t too_long = 0, nothing_left = 0, weightless = 0;  // left out, as Fate says
  std::int64_t cut = 0;                                         // kept without some of their tokens

  void add(const ConversationCounts& other) {
    rows += other.rows;
    conversations += other.conversations;
    filtered += other.filtered;
    too_long += other.too_long;
    nothing_left += other.nothing_left;
    weightless += other.weightless;
    cut += other.cut;
  }
};

}  // namespace sluice::data
