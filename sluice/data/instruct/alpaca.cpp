// Format alpaca: {"instruction", "input"?, "output" or "response", "history"?, "system"?} (Stanford Alpaca; history as LLaMA-Factory has
// it).
#include "sluice/data/instruct/format_reader.h"
#include "sluice/data/instruct/turn_order.h"

namespace sluice::data {

FormatReader alpaca_format() {
  FormatReader format;
  format.required = {{"instruction"}, {"output", "response"}};
  format.optional = {"input", "history"};
  format.read = [](Row& row, const UseConversation& use) {
    InstructRow out = start_row(row);
    say_history(out, take(row, {"history"}));
    std::string instruction = take_some_text(row, {"instruction"});
    say_instruction(out, std::move(instruction), take_text(row, {"input"}));
    say(out, "assistant", take_some_text(row, {"output", "response"}));
    require_order(out.conversation.messages, RoleOrder::kAlternate, row.where);
    use(std::move(out));
  };
  return format;
}

}  // namespace sluice::data
