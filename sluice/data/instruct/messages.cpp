// Format messages: {"messages": [{"role", "content"}, ...], "tools"?}, the form of OpenAI, Hugging Face and TRL.
#include "sluice/data/instruct/format_reader.h"
#include "sluice/data/instruct/message.h"
#include "sluice/data/instruct/turn_order.h"

namespace sluice::data {

FormatReader messages_format() {
  FormatReader format;
  format.required = {{"messages"}};
  format.read = [](Row& row, const UseConversation& use) {
    InstructRow out = start_row(row);
    say_all(out, "user", read_list(take(row, {"messages"}), "\"messages\"", row.where), {}, "\"messages\"");
    require_order(out.conversation.messages, RoleOrder::kAlternate, row.where);
    use(std::move(out));
  };
  return format;
}

}  // namespace sluice::data
