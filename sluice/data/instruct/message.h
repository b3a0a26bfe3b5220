// Messages as people write them -> messages as Hugging Face's chat templates expect them.
#pragma once
#include <string>

#include "sluice/base/json.h"

namespace sluice::data {

// How a file names a message's members and roles; the defaults are OpenAI's, which Hugging Face took over.
struct MessageNames {
  std::string role = "role", content = "content";
  std::string user = "user", assistant = "assistant", system = "system", tool = "tool";
};

// A list of messages, or its JSON as a text. What becomes of each:
//   role       by `names`; "developer" stays, "function" (OpenAI's older word) becomes "tool".
//   content    a text, or typed parts: the texts are joined; {"type": "reasoning"} becomes reasoning_content, {"type": "tool_call"}
//   tool_calls.
//              Empty where it is null or missing beside tool_calls.
//   weight     from "weight", "loss_weight" or "train" (true or false).
//   tool_calls each {"type": "function", "function": {"name", "arguments"}}, from these or from bare {"name", "arguments"}.
//   others     as they are, without nulls.
// `what` names the list in an Error. Error too for a message of another form, and for a weight other than 0 of a message not the
// assistant's.
OrderedJson read_messages(OrderedJson&& list, const MessageNames& names, const std::string& what, const std::string& where);

// One message; `place` names it in an Error.
OrderedJson read_message(OrderedJson&& message, const MessageNames& names, const std::string& place);

// Takes "weight", "loss_weight" or "train" out of `members` and gives `message` its weight, where one is there.
void take_weight(OrderedJson& members, OrderedJson& message, const std::string& place);

// One call of a tool, an object or its JSON as a text, in the form above.
OrderedJson read_tool_call(OrderedJson&& call, const std::string& place);

}  // namespace sluice::data
