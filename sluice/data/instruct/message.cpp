#include "sluice/data/instruct/message.h"

#include <initializer_list>

#include "sluice/base/error.h"
#include "sluice/data/instruct/row.h"

namespace sluice::data {
namespace {

// `member` of `object` taken out of it; null where there is none.
OrderedJson take_member(OrderedJson& object, std::string_view member) {
  const auto found = object.find(member);
  if (found == object.end()) return nullptr;
  OrderedJson value = std::move(*found);
  object.erase(found);
  return value;
}

std::string role_of(OrderedJson& message, const MessageNames& names, const std::string& place) {
  const OrderedJson given = take_member(message, names.role);
  if (!given.is_string()) {
    throw Error(place + " has " +
                    (given.is_null() ? "no \"" + names.role + '"' : '"' + names.role + "\" that is " + kind_of(given) + ", not a text"),
                "give each message a \"" + names.role + "\" and a \"" + names.content +
                    "\"; under other names set data.format=custom data.columns.role=... data.columns.content=...");
  }
  const auto& role = given.get_ref<const std::string&>();
  if (role == names.user) return "user";
  if (role == names.assistant) return "assistant";
  if (role == names.system) return "system";
  if (role == names.tool || role == "function") return "tool";
  if (role == "developer") return role;
  throw Error(place + " is of the role " + in_quotes(role),
              "use " + names.system + ", " + names.user + ", " + names.assistant + " or " + names.tool +
                  "; other words are given by data.format=custom data.columns.user=... and its like");
}

// The text of a typed part, under the name of any of the forms in use.
std::string text_of_part(OrderedJson& part, std::string_view type, const std::string& place) {
  for (const std::string_view member : {std::string_view("text"), std::string_view("value"), type}) {
    if (OrderedJson text = take_member(part, member); text.is_string()) return std::move(text.get_ref<std::string&>());
  }
  throw Error(place + " has no text", "write {\"type\": \"" + std::string(type) + "\", \"text\": ...}");
}

void read_part(OrderedJson& part, OrderedJson& message, std::string& content, const std::string& place) {
  const OrderedJson given = part.is_object() ? take_member(part, "type") : OrderedJson();
  if (!given.is_string()) throw Error(place + " has no \"type\"", "write {\"type\": \"text\", \"text\": ...}, or the content as one text");
  const auto& type = given.get_ref<const std::string&>();
  if (type == "text") {
    content += text_of_part(part, type, place);
  } else if (type == "reasoning" || type == "thinking") {
    OrderedJson& reasoning = message["reasoning_content"];
    reasoning = reasoning.is_string() ? reasoning.get<std::string>() + text_of_part(part, type, place) : text_of_part(part, type, place);
  } else if (type == "tool_call") {
    OrderedJson call = take_member(part, "value");
    if (call.is_null()) call = take_member(part, "tool_call");
    message["tool_calls"].push_back(read_tool_call(std::move(call), place));
  } else {
    throw Error(place + " is of the type " + in_quotes(type),
                "only text, reasoning and tool_call can be trained on: remove the part or the row");
  }
}

void read_content(OrderedJson&& given, OrderedJson& message, const MessageNames& names, const std::string& place) {
  std::string content;
  if (given.is_string()) {
    content = std::move(given.get_ref<std::string&>());
  } else if (given.is_array()) {
    for (std::size_t i = 0; i < given.size(); ++i) read_part(given[i], message, content, place + ", part " + std::to_string(i + 1));
  } else if (!given.is_null() || !message.contains("tool_calls")) {
    throw Error(place + " has " + (given.is_null() ? "no \"" + names.content + '"' : '"' + names.content + "\" that is " + kind_of(given)),
                "write a text there, or a list of {\"type\": \"text\", \"text\": ...}");
  }
  message["content"] = std::move(content);
}

// Most messages are as they should be: read_message would give the same.
bool is_as_expected(const OrderedJson& message, const MessageNames& names) {
  if (!message.is_object() || message.size() != 2 || names.role != "role" || names.content != "content") return false;
  const auto role = message.begin(), content = std::next(role);
  if (role.key() != "role" || content.key() != "content" || !role->is_string() || !content->is_string()) return false;
  const auto& name = role->get_ref<const std::string&>();
  return (name == "user" && name == names.user) || (name == "assistant" && name == names.assistant) ||
         (name == "system" && name == names.system);
}

}  // namespace

OrderedJson read_tool_call(OrderedJson&& call, const std::string& place) {
  if (call.is_string()) {
    OrderedJson parsed = OrderedJson::parse(call.get_ref<const std::string&>(), nullptr, false);
    if (parsed.is_discarded())
      throw Error(place + ": the call of a tool is a text that is not JSON: " + in_quotes(call.get_ref<const std::string&>()),
                  "write {\"name\": ..., \"arguments\": {...}}");
    call = std::move(parsed);
  }
  const bool wrapped = call.is_object() && call.contains("function");
  const OrderedJson& function = wrapped ? call["function"] : call;
  if (!function.is_object() || !function.contains("name") || !function["name"].is_string())
    throw Error(place + ": the call of a tool is " + (function.is_object() ? "without a \"name\"" : kind_of(function) + ", not an object"),
                "write {\"name\": ..., \"arguments\": {...}}");
  if (wrapped) return std::move(call);
  OrderedJson out = OrderedJson::object();
  out["type"] = "function";
  if (OrderedJson id = take_member(call, "id"); !id.is_null()) out["id"] = std::move(id);
  out["function"] = std::move(call);
  return out;
}

void take_weight(OrderedJson& members, OrderedJson& message, const std::string& place) {
  for (const char* name : {"weight", "loss_weight", "train"}) {
    const OrderedJson given = take_member(members, name);
    if (given.is_null()) continue;
    const float weight = read_weight(given, std::string("\"") + name + '"', place);
    if (weight != 0 && message["role"] != "assistant") {
      throw Error(place + " is the " + message["role"].get<std::string>() + "'s and has \"" + name + "\" = " + dump_json(given) +
                      ", but only the assistant's messages are trained on",
                  "set it to 0 or remove it");
    }
    message["weight"] = weight;
  }
}

OrderedJson read_message(OrderedJson&& given, const MessageNames& names, const std::string& place) {
  if (!given.is_object()) throw Error(place + " is " + kind_of(given) + ", not an object", "write {\"role\": ..., \"content\": ...}");
  OrderedJson message = OrderedJson::object();
  message["role"] = role_of(given, names, place);
  message["content"] = "";
  if (OrderedJson calls = read_list(take_member(given, "tool_calls"), "\"tool_calls\"", place); !calls.is_null() && !calls.empty()) {
    for (OrderedJson& call : calls) message["tool_calls"].push_back(read_tool_call(std::move(call), place));
  }
  if (OrderedJson reasoning = take_member(given, "reasoning"); reasoning.is_string() && !given.contains("reasoning_content"))
    message["reasoning_content"] = std::move(reasoning);
  read_content(take_member(given, names.content), message, names, place);
  take_weight(given, message, place);
  for (auto& [name, value] : given.items()) {
    if (!value.is_null()) message[name] = std::move(value);
  }
  return message;
}

OrderedJson read_messages(OrderedJson&& list, const MessageNames& names, const std::string& what, const std::string& where) {
  OrderedJson messages = read_list(std::move(list), what, where);
  if (messages.is_null() || messages.empty()) throw Error(where + ": " + what + " has no messages", "fill it in or remove the row");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (is_as_expected(messages[i], names)) continue;
    messages[i] = read_message(std::move(messages[i]), names, where + ": message " + std::to_string(i + 1) + " of " + what);
  }
  return messages;
}

}  // namespace sluice::data
