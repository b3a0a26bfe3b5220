// One row of a file, and reading its columns: each is taken out of the row, so that texts are moved and not copied.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "sluice/data/instruct/conversations.h"

namespace sluice::data {

struct Row {
  OrderedJson columns;  // an object
  std::string where;    // opens every Error about it
};

using ColumnNames = std::initializer_list<std::string_view>;  // the names that one thing goes by

// "a number", "a list": what an Error says that a value is.
std::string kind_of(const OrderedJson& value);
// Whether it is empty but for white space.
bool is_blank(std::string_view text);
// `text`, in quotes, cut where it is long.
std::string in_quotes(std::string_view text);

// The first of `names` that the row has and that is not null, taken out of it; null where there is none.
OrderedJson take(Row& row, ColumnNames names);
// As `take`, a text; empty where there is none. Error when it is of another kind.
std::string take_text(Row& row, ColumnNames names);
// As `take_text`, but Error when it is missing or blank.
std::string take_some_text(Row& row, ColumnNames names);

// A list that may also be given as the text of a JSON list; null where `value` is null or an empty text. `what` names it in an Error.
OrderedJson read_list(OrderedJson&& value, const std::string& what, const std::string& where);
// Tools as Hugging Face's templates expect them, [{"type": "function", "function": {...}}, ...], from a list of these or of bare functions.
OrderedJson read_tools(OrderedJson&& value, const std::string& where);

// What rows of all formats may have beside their own columns: weight (a number >= 0 or true and false), expert_label, and what templates
// are given: tools, chat_template_kwargs and the text of the first message, system. The row's messages are still to come.
inline constexpr std::string_view kRowColumns[] = {"weight", "expert_label", "tools", "chat_template_kwargs", "system"};
InstructRow start_row(Row& row);
// A row's weight in the loss. Error for one that is none.
float read_weight(const OrderedJson& value, const std::string& what, const std::string& where);

// Adds {"role", "content"} to the conversation.
void say(InstructRow& row, std::string_view role, std::string content);

}  // namespace sluice::data
