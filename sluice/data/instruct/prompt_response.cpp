// Format prompt_response: {"prompt", "response"}, or "completion" for the latter; TRL's form with lists of messages in them; ms-swift's
// "query" and "history".
#include "sluice/data/instruct/format_reader.h"
#include "sluice/data/instruct/message.h"
#include "sluice/data/instruct/turn_order.h"

namespace sluice::data {

FormatReader prompt_response_format() {
  FormatReader format;
  format.required = {{"prompt", "query"}, {"response", "completion"}};
  format.optional = {"history"};
  format.read = [](Row& row, const UseConversation& use) {
    InstructRow out = start_row(row);
    say_history(out, take(row, {"history"}));
    say_all(out, "user", take(row, {"prompt", "query"}), {}, "\"prompt\"");
    say_all(out, "assistant", take(row, {"response", "completion"}), {}, "\"response\"");
    require_order(out.conversation.messages, RoleOrder::kAlternate, row.where);
    use(std::move(out));
  };
  return format;
}

}  // namespace sluice::data
