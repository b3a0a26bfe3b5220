// Files of conversations and instructions in the formats that people have -> conversations.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "sluice/base/file.h"
#include "sluice/base/json.h"
#include "sluice/data/config.h"
#include "sluice/text/chat_template.h"

namespace sluice::data {

// One conversation to train on. Its roles are system or developer (at the beginning), user, assistant and tool; the last message is the
// assistant's, and no answer that counts is empty. A message's "content" is a string; other members (reasoning_content, tool_calls, name,
// tool_call_id) are as Hugging Face's chat templates expect them, and none is null.
//   "weight"                  of a message whose file says how much it counts: a number >= 0, 0 where the file says not to train on it.
//                             Only assistant's messages have one other than 0.
//   "instruction", "input"    of the user's message of instructions with an input apart; its content is both, a line break between them.
struct InstructRow {
  text::Conversation conversation;
  float weight = 1;          // of its labels in the loss, >= 0
  OrderedJson expert_label;  // the row's, as it has it; null where it has none
  std::string where;         // "file:line", "file row 3": opens every Error about it
};

struct InstructCounts {
  std::int64_t rows = 0;           // of the file
  std::int64_t conversations = 0;  // a tree, or a task with several instances, gives several
  std::int64_t filtered = 0;       // OASST: messages of other ranks or languages, or deleted, with all replies to them
};

// Hands every conversation of `path` (.json, .jsonl, .parquet, each also .gz but for Parquet), in the order of the file, to `use`. Rows are
// read one after another; memory does not grow with the file but for formats whose rows refer to each other (flat OASST). Error
// ("file:line: ...", with what the row has and the remedy) for a missing column, a wrong type, roles out of order, an empty answer, a file
// that is not whole.
InstructCounts read_conversations(const fs::path& path, const DataConfig& config, const std::function<void(InstructRow&&)>& use);

}  // namespace sluice::data
