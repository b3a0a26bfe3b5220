#include "sluice/data/instruct/format_reader.h"

#include "sluice/base/error.h"
#include "sluice/data/instruct/message.h"

namespace sluice::data {

void say_all(InstructRow& row, std::string_view role, OrderedJson&& said, const MessageNames& names, const std::string& what) {
  if (said.is_string()) return say(row, role, std::move(said.get_ref<std::string&>()));
  if (said.is_object()) {
    row.conversation.messages.push_back(read_message(std::move(said), names, row.where + ": " + what));
    return;
  }
  if (!said.is_array())
    throw Error(row.where + ": " + what + " is " + kind_of(said) + ", not a text", "write a text there, or a list of messages");
  OrderedJson given = read_messages(std::move(said), names, what, row.where);
  OrderedJson& messages = row.conversation.messages;
  if (messages.empty()) {
    messages = std::move(given);
  } else {
    for (OrderedJson& message : given) messages.push_back(std::move(message));
  }
}

void say_instruction(InstructRow& row, std::string instruction, std::string input) {
  if (is_blank(input)) return say(row, "user", std::move(instruction));
  say(row, "user", instruction + '\n' + input);
  OrderedJson& message = row.conversation.messages.back();
  message["instruction"] = std::move(instruction);
  message["input"] = std::move(input);
}

void say_history(InstructRow& row, OrderedJson&& given) {
  const OrderedJson history = read_list(std::move(given), "\"history\"", row.where);
  for (std::size_t i = 0; i < history.size(); ++i) {
    const OrderedJson& turn = history[i];
    if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() || !turn[1].is_string())
      throw Error(row.where + ": turn " + std::to_string(i + 1) + " of \"history\" is not a pair of texts",
                  "write [[\"what the user said\", \"the answer\"], ...]");
    say(row, "user", turn[0].get<std::string>());
    say(row, "assistant", turn[1].get<std::string>());
  }
}

}  // namespace sluice::data
