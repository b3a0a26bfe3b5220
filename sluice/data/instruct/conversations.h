// Files of conversations and instructions in the formats that people have -> conversations.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "sluice/base/file.h"
#include "sluice/data/config.h"
#include "sluice/text/chat_template.h"

namespace sluice::data {

// One conversation to train on. A message's "content" is a string; other members (reasoning_content, tool_calls, name, tool_call_id) are as
// Hugging Face's chat templates expect them. Of instructions with an input apart, the user's message also has "instruction" and "input".
// What a row says of a message's part in the loss stands in it as "weight" (a number >= 0; 0: not trained on) and "train" (true or false).
struct InstructRow {
  text::Conversation conversation;
  float weight = 1;                  // of its labels in the loss, >= 0
  std::optional<Json> expert_label;  // as the row has it: a category's name or index
  std::string where;                 // "file:line", "file row 3": opens every Error about it
};

struct InstructCounts {
  std::int64_t rows = 0;           // of the file
  std::int64_t conversations = 0;  // a tree, or a task with several instances, gives several
  std::int64_t filtered = 0;       // left out by rank or language
};

// Hands every conversation of `path` (.json, .jsonl, .parquet, each also .gz but for Parquet), in the order of the file, to `use`. Rows are
// read one after another; memory does not grow with the file but for formats whose rows refer to each other (flat OASST). Error
// ("file:line: ...", with what the row has and the remedy) for a missing column, a wrong type, roles out of order, an empty answer, a file
// that is not whole.
InstructCounts read_conversations(const fs::path& path, const DataConfig& config, const std::function<void(InstructRow&&)>& use);

}  // namespace sluice::data
