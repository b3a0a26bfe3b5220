// Format sharegpt: {"conversations": [{"from", "value"}, ...], "system"?, "tools"?}; "conversation" and role/content do too, and ms-swift's
// turns {"human", "assistant"}.
#include "sluice/base/error.h"
#include "sluice/data/instruct/format_reader.h"
#include "sluice/data/instruct/message.h"
#include "sluice/data/instruct/turn_order.h"

namespace sluice::data {
namespace {

enum class Speaker { kSystem, kUser, kAssistant, kCall, kTool };

struct SpeakerName {
  std::string_view name;
  Speaker speaker;
};
constexpr SpeakerName kSpeakers[] = {
    {"human", Speaker::kUser},        {"user", Speaker::kUser},        {"gpt", Speaker::kAssistant}, {"assistant", Speaker::kAssistant},
    {"chatgpt", Speaker::kAssistant}, {"model", Speaker::kAssistant},  {"system", Speaker::kSystem}, {"function_call", Speaker::kCall},
    {"tool_call", Speaker::kCall},    {"observation", Speaker::kTool}, {"tool", Speaker::kTool},     {"function_response", Speaker::kTool},
    {"tool_response", Speaker::kTool}};

Speaker speaker_of(const std::string& name, const std::string& place) {
  for (const SpeakerName& known : kSpeakers) {
    if (name == known.name) return known.speaker;
  }
  throw Error(place + " is from " + in_quotes(name),
              "use system, human, gpt, function_call or observation, or map other words by data.format=custom");
}

std::string take_turn_text(OrderedJson& turn, const char* member, const std::string& place) {
  const auto found = turn.find(member);
  if (found == turn.end() || !found->is_string()) {
    throw Error(
        place + " has " +
            (found == turn.end() ? "no \"" + std::string(member) + '"' : '"' + std::string(member) + "\" that is " + kind_of(*found)),
        "write {\"from\": ..., \"value\": ...} with texts");
  }
  return std::move(found->get_ref<std::string&>());
}

// A call is part of the assistant's message that it follows, as Hugging Face's chat format has it.
void say_call(InstructRow& row, const std::string& text, const std::string& place) {
  OrderedJson& messages = row.conversation.messages;
  if (messages.empty() || messages.back()["role"] != "assistant") say(row, "assistant", "");
  OrderedJson parsed = OrderedJson::parse(text, nullptr, false);
  OrderedJson& calls = messages.back()["tool_calls"];
  if (!parsed.is_array()) return calls.push_back(read_tool_call(text, place));
  for (OrderedJson& call : parsed) calls.push_back(read_tool_call(std::move(call), place));
}

void say_turn(InstructRow& row, OrderedJson& turn, const std::string& place) {
  if (!turn.is_object()) throw Error(place + " is " + kind_of(turn) + ", not an object", "write {\"from\": ..., \"value\": ...}");
  if (turn.contains("human") && turn.contains("assistant")) {
    say(row, "user", take_turn_text(turn, "human", place));
    return say(row, "assistant", take_turn_text(turn, "assistant", place));
  }
  if (turn.contains("role")) {
    row.conversation.messages.push_back(read_message(std::move(turn), {}, place));
    return;
  }
  const Speaker speaker = speaker_of(take_turn_text(turn, "from", place), place);
  std::string text = take_turn_text(turn, "value", place);
  if (speaker == Speaker::kCall) return say_call(row, text, place);
  if (speaker == Speaker::kSystem && is_blank(text)) return;
  const char* role = speaker == Speaker::kUser        ? "user"
                     : speaker == Speaker::kAssistant ? "assistant"
                     : speaker == Speaker::kTool      ? "tool"
                                                      : "system";
  say(row, role, std::move(text));
  take_weight(turn, row.conversation.messages.back(), place);
}

}  // namespace

FormatReader sharegpt_format() {
  FormatReader format;
  format.required = {{"conversations", "conversation"}};
  format.read = [](Row& row, const UseConversation& use) {
    InstructRow out = start_row(row);
    OrderedJson turns = read_list(take(row, {"conversations", "conversation"}), "\"conversations\"", row.where);
    for (std::size_t i = 0; i < turns.size(); ++i) say_turn(out, turns[i], row.where + ": turn " + std::to_string(i + 1));
    require_order(out.conversation.messages, RoleOrder::kAlternate, row.where);
    use(std::move(out));
  };
  return format;
}

}  // namespace sluice::data
