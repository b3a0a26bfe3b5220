// What is in a data set, for the log and for what a resumed run compares.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/data/categories.h"
#include "sluice/data/formats.h"
#include "sluice/data/instruct/counts.h"

namespace sluice::data {

// Sums over all rows of a data set.
struct DatasetCounts {
  std::int64_t rows = 0, tokens = 0, target_tokens = 0, longest_row = 0;
  std::string longest_at;  // "file:line" of the first row so long; empty where rows are no lines
  std::int64_t cut_prompts = 0, cut_answers = 0, cut_texts = 0;  // rows that lost tokens to seq_length or max_target_length
  std::vector<std::int64_t> labelled;  // by label number, up to the highest there is
  std::int64_t unlabelled = 0;
  ConversationCounts conversations;  // of the whole files, what is not used among them
  std::int64_t packed = 0;           // documents in packed rows
  std::int64_t room = 0;             // tokens that the packed rows could hold
  std::vector<std::string> notes;    // what the user may not expect
  std::uint32_t fingerprint = 0;     // crc32c of the rows' tokens, labels, weights and expert labels: equal data gives equal numbers

  void add(const ReadRow& row);
  void add(const DatasetCounts& other);  // of another data set beside this one
  std::int64_t with_label(std::int64_t label) const {  // rows
    const auto index = static_cast<std::size_t>(label);
    return index < labelled.size() ? labelled[index] : 0;
  }

 private:
  void add_label(std::int64_t label, std::int64_t count);
};

// One line for the log: "3,600 rows, 61,234 tokens ...", with what was cut and left out.
std::string describe(const DatasetCounts& counts, const Categories& categories = {});

// What became of the conversations that are not trained on as they are; empty where all are.
std::string describe(const ConversationCounts& counts);

}  // namespace sluice::data
