// Format self_instruct: {"instruction", "instances": [{"input", "output"}, ...]} (Self-Instruct's seed tasks and user-oriented
// instructions); every instance is a conversation.
#include "sluice/base/error.h"
#include "sluice/data/instruct/format_reader.h"
#include "sluice/data/instruct/turn_order.h"

namespace sluice::data {

FormatReader self_instruct_format() {
  FormatReader format;
  format.required = {{"instruction"}, {"instances"}};
  format.read = [](Row& row, const UseConversation& use) {
    const InstructRow start = start_row(row);
    const std::string instruction = take_some_text(row, {"instruction"});
    OrderedJson instances = read_list(take(row, {"instances"}), "\"instances\"", row.where);
    if (instances.empty())
      throw Error(row.where + ": \"instances\" is empty, so the task has no answer",
                  "give {\"input\", \"output\"} of at least one, or remove the row");
    for (std::size_t i = 0; i < instances.size(); ++i) {
      Row instance{std::move(instances[i]), row.where + ": instance " + std::to_string(i + 1)};
      if (!instance.columns.is_object())
        throw Error(instance.where + " is " + kind_of(instance.columns) + ", not an object", "write {\"input\": ..., \"output\": ...}");
      InstructRow out = start;
      out.where = instance.where;
      say_instruction(out, instruction, take_text(instance, {"input"}));
      say(out, "assistant", take_some_text(instance, {"output"}));
      require_order(out.conversation.messages, RoleOrder::kAlternate, instance.where);
      use(std::move(out));
    }
  };
  return format;
}

}  // namespace sluice::data
