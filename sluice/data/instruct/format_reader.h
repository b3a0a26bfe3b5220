// What a format's file gives read_conversations: the columns it looks at, and what becomes of a row.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "sluice/data/instruct/conversations.h"
#include "sluice/data/instruct/message.h"
#include "sluice/data/instruct/row.h"

namespace sluice::data {

using UseConversation = std::function<void(InstructRow&&)>;

struct FormatReader {
  // Each row has one of the names of each group, and not null.
  std::vector<std::vector<std::string>> required;
  // What else it looks at, beside kRowColumns.
  std::vector<std::string> optional;
  std::function<void(Row&, const UseConversation&)> read;
  // After the last row, where rows refer to each other or what no row had is a mistake; else empty.
  std::function<void(const UseConversation&)> finish;
};

FormatReader prompt_response_format();
FormatReader messages_format();
FormatReader alpaca_format();
FormatReader dolly_format();
FormatReader oasst_format(const InstructConfig& config, InstructCounts& counts);  // `counts` must outlive it
FormatReader sharegpt_format();
FormatReader self_instruct_format();
// Error when the columns that the recipe names cannot make a conversation.
FormatReader custom_format(const ColumnsConfig& columns);

// Adds the messages of a list (messages.h's forms), or one message of `role` for a text. Error, naming `what`, for another kind.
void say_all(InstructRow& row, std::string_view role, OrderedJson&& said, const MessageNames& names, const std::string& what);
// Adds what instructions are made of: the user's message from an instruction and what it is about (may be empty).
void say_instruction(InstructRow& row, std::string instruction, std::string input);
// Adds the earlier turns of "history", [[user, assistant], ...], if the row has one.
void say_history(InstructRow& row, OrderedJson&& history);

}  // namespace sluice::data
