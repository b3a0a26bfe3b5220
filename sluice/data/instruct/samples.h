// Conversation -> sample: rendered, tokenised, masked, cut to data.seq_length, and checked.
#pragma once
#include <optional>
#include <string>

#include "sluice/base/error.h"
#include "sluice/data/categories.h"
#include "sluice/data/config.h"
#include "sluice/data/instruct/conversations.h"
#include "sluice/data/instruct/counts.h"
#include "sluice/data/instruct/templates.h"
#include "sluice/data/sample.h"

namespace sluice::data {

// What becomes of a conversation.
enum class Fate {
  kKept,
  kTooLong,      // longer than data.seq_length, with data.truncation = drop
  kNothingLeft,  // cut to data.seq_length, and nothing of what is left is trained on
  kWeightless,   // its file gives it, or all that would be trained on, the weight 0
};

struct MadeSample {
  Sample sample;  // of a kept conversation; labels[0] is never trained on
  Fate fate = Fate::kKept;
  enum class Cut { kNo, kYes };
  Cut cut = Cut::kNo;          // lost tokens to data.seq_length
  std::optional<Error> fault;  // what is wrong with its mask: nothing trained on, everything, or no end token; names where it stands
};

// A file of which no conversation is kept, with what became of them.
Error nothing_is_kept(const std::string& path, const ConversationCounts& counts, const DataConfig& config);

// Thread-safe; borrows the tokenizer.
class SampleMaker {
 public:
  // `config` with data.seq_length set; rows are labelled by `categories`. Error as make_prompt_template.
  SampleMaker(const DataConfig& config, const TokenizerSource& tokenizer, const Categories& categories = {});

  // Error, opened by row.where, for a conversation that the template refuses, for an unknown expert_label, and for text that is not UTF-8.
  MadeSample make(const InstructRow& row) const;

  const PromptTemplate& format() const { return format_; }
  const text::Tokenizer& tokenizer() const { return tokenizer_; }
  const Categories& categories() const { return categories_; }

 private:
  DataConfig config_;
  const text::Tokenizer& tokenizer_;
  PromptTemplate format_;
  Categories categories_;
};

}  // namespace sluice::data
