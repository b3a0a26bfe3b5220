#include "sluice/data/instruct/turn_order.h"

#include "sluice/base/error.h"
#include "sluice/data/instruct/row.h"

namespace sluice::data {
namespace {

bool is_user(std::string_view role) { return role == "user"; }
bool is_answer(std::string_view role) { return role == "assistant"; }
bool is_instruction(std::string_view role) { return role == "system" || role == "developer"; }

// What is wrong with `role` after `before` (empty: at the beginning); empty if nothing.
std::string misplaced(std::string_view role, std::string_view before, RoleOrder order) {
  const bool beginning = before.empty() || is_instruction(before);
  if (is_instruction(role) && !beginning) return "stands inside the conversation, not at its beginning";
  if (is_instruction(role) && role == before) return "follows another one";
  if (is_answer(role) && beginning && order != RoleOrder::kAnswerAlone) return "stands before the user says anything";
  if (is_answer(role) && is_answer(before) && order == RoleOrder::kAlternate) return "follows another message of the assistant";
  if (is_user(role) && is_user(before)) return "follows another message of the user";
  if (is_user(role) && before == "tool") return "follows a tool's result, which no answer follows";
  if (role == "tool" && (beginning || is_user(before))) return "does not follow the assistant's call";
  return "";
}

// What is wrong with the content of a message that needs words; empty if nothing.
std::string emptiness(const OrderedJson& message, std::string_view role) {
  if (!(is_user(role) || is_answer(role)) || !is_blank(message["content"].get_ref<const std::string&>())) return "";
  if (is_user(role)) return "is empty";
  const bool counts = !message.contains("weight") || message["weight"] != 0;
  return counts && !message.contains("tool_calls") ? "has an empty answer, which would be trained on" : "";
}

}  // namespace

void require_order(const OrderedJson& messages, RoleOrder order, const std::string& where) {
  std::string_view before;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string_view role = messages[i]["role"].get_ref<const std::string&>();
    const std::string wrong = misplaced(role, before, order), empty = emptiness(messages[i], role);
    const auto place = [&] { return where + ": message " + std::to_string(i + 1) + " (" + std::string(role) + ") "; };
    if (!wrong.empty()) {
      throw Error(place() + wrong,
                  "order them as system, user, assistant, user, assistant ..., join messages that belong together, or remove the row");
    }
    if (!empty.empty())
      throw Error(place() + empty,
                  is_user(role) ? "fill it in or remove the row" : "fill it in, give it \"train\": false, or remove the row");
    before = role;
  }
  if (is_answer(before)) return;
  throw Error(where + ": " +
                  (before.empty() ? "the conversation has no messages"
                                  : "the last message is the " + std::string(before) + "'s, so no answer follows it"),
              "end the conversation with the assistant's answer, or remove the row");
}

}  // namespace sluice::data
