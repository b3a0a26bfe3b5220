// Format dolly: {"instruction", "context"?, "response"} (Databricks' Dolly 15k).
#include "sluice/data/instruct/format_reader.h"
#include "sluice/data/instruct/turn_order.h"

namespace sluice::data {

FormatReader dolly_format() {
  FormatReader format;
  format.required = {{"instruction"}, {"response"}};
  format.optional = {"context"};
  format.read = [](Row& row, const UseConversation& use) {
    InstructRow out = start_row(row);
    std::string instruction = take_some_text(row, {"instruction"});
    say_instruction(out, std::move(instruction), take_text(row, {"context"}));
    say(out, "assistant", take_some_text(row, {"response"}));
    require_order(out.conversation.messages, RoleOrder::kAlternate, row.where);
    use(std::move(out));
  };
  return format;
}

}  // namespace sluice::data
