// All conversations of a file as tokens: from the cache, or tokenised now and put there.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sluice/data/config.h"
#include "sluice/data/instruct/cache.h"
#include "sluice/data/instruct/samples.h"

namespace sluice::data {

struct TokenisedFile {
  fs::path path;
  std::shared_ptr<const SampleCache> samples;  // of the conversations that are kept
  std::vector<std::string> notes;              // what the user may not expect

  std::string where(std::int64_t index) const { return path.string() + samples->place(index); }
};

// Notes on how the samples are written that the user may not expect; none where all is as usual.
std::vector<std::string> notes_on(const PromptTemplate& format);

// Reads, renders, tokenises and checks every conversation of `path`, on all processors, unless an earlier run did so with the same
// file, tokenizer, template and settings. Error as read_conversations, SampleMaker::make and MadeSample::fault, the first in the file;
// nothing is put into the cache then.
TokenisedFile tokenise(const fs::path& path, const DataConfig& config, const TokenizerSource& tokenizer, const Categories& categories);

// What tokenise does with each conversation, in the order of the file, several at a time on `num_threads` threads: `use` gets it, the
// number of its row in the file, and what became of it or the Error that it met. Returns the counts.
struct TokenisedRow {
  const InstructRow& row;
  std::int64_t row_number;
  MadeSample made;
  std::optional<Error> error;  // of rendering or tokenising
};
ConversationCounts for_each_conversation(const fs::path& path, const DataConfig& config, const SampleMaker& maker, int num_threads,
                                         const std::function<void(const TokenisedRow&)>& use);

}  // namespace sluice::data
