#include "sluice/data/instruct/row.h"

#include <cmath>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"

namespace sluice::data {
namespace {

std::string any_of(ColumnNames names) {
  std::vector<std::string> words;
  for (const std::string_view name : names) words.push_back('"' + std::string(name) + '"');
  return join_or(words);
}

[[noreturn]] void fail_kind(const std::string& where, const std::string& what, const OrderedJson& value, const std::string& wanted) {
  throw Error(where + ": " + what + " is " + kind_of(value) + ", not " + wanted, "write " + wanted + " there, or remove the row");
}

}  // namespace

std::string kind_of(const OrderedJson& value) {
  if (value.is_number_float()) return "a number with a fraction";
  if (value.is_number()) return "a number";
  if (value.is_boolean()) return "true or false";
  if (value.is_string()) return "a text";
  if (value.is_array()) return "a list";
  return value.is_object() ? "an object" : "null";
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 40;
  return dump_json(OrderedJson(std::string(text.substr(0, kLongest)))) + (text.size() > kLongest ? "..." : "");
}

OrderedJson take(Row& row, ColumnNames names) {
  for (const std::string_view name : names) {
    const auto found = row.columns.find(name);
    if (found != row.columns.end() && !found->is_null()) return std::move(*found);
  }
  return nullptr;
}

std::string take_text(Row& row, ColumnNames names) {
  OrderedJson value = take(row, names);
  if (value.is_null()) return "";
  if (!value.is_string()) fail_kind(row.where, any_of(names), value, "a text");
  return std::move(value.get_ref<std::string&>());
}

std::string take_some_text(Row& row, ColumnNames names) {
  std::string text = take_text(row, names);
  if (is_blank(text)) throw Error(row.where + ": " + any_of(names) + " is empty", "fill it in or remove the row");
  return text;
}

OrderedJson read_list(OrderedJson&& value, const std::string& what, const std::string& where) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (is_blank(text)) return nullptr;
    OrderedJson parsed = OrderedJson::parse(text, nullptr, false);
    if (parsed.is_discarded())
      throw Error(where + ": " + what + " is a text that is not JSON: " + in_quotes(text), "write a list, or its JSON as a text");
    value = std::move(parsed);
  }
  if (!value.is_null() && !value.is_array()) fail_kind(where, what, value, "a list");
  return std::move(value);
}

OrderedJson read_tools(OrderedJson&& value, const std::string& where) {
  OrderedJson tools = read_list(std::move(value), "\"tools\"", where);
  if (tools.is_null() || tools.empty()) return nullptr;
  for (OrderedJson& tool : tools) {
    if (!tool.is_object()) fail_kind(where, "a member of \"tools\"", tool, "an object");
    if (tool.contains("name") && !tool.contains("function")) tool = OrderedJson{{"type", "function"}, {"function", std::move(tool)}};
  }
  return tools;
}

float read_weight(const OrderedJson& value, const std::string& what, const std::string& where) {
  if (value.is_boolean()) return value.get<bool>() ? 1.f : 0.f;
  if (!value.is_number()) fail_kind(where, what, value, "a number");
  const float weight = value.get<float>();
  if (!std::isfinite(weight) || weight < 0)
    throw Error(where + ": " + what + " = " + dump_json(value) + " is no weight in the loss", "give a number of 0 or more");
  return weight;
}

InstructRow start_row(Row& row) {
  InstructRow out;
  out.where = row.where;
  out.expert_label = take(row, {"expert_label"});
  if (const OrderedJson weight = take(row, {"weight"}); !weight.is_null()) out.weight = read_weight(weight, "\"weight\"", row.where);
  out.conversation.tools = read_tools(take(row, {"tools"}), row.where);
  if (OrderedJson variables = take(row, {"chat_template_kwargs"}); !variables.is_null()) {
    if (!variables.is_object()) fail_kind(row.where, "\"chat_template_kwargs\"", variables, "an object");
    out.conversation.variables = std::move(variables);
  }
  if (std::string system = take_text(row, {"system"}); !is_blank(system)) say(out, "system", std::move(system));
  return out;
}

void say(InstructRow& row, std::string_view role, std::string content) {
  OrderedJson message = OrderedJson::object();
  message.get_ref<OrderedJson::object_t&>().reserve(2);
  message["role"] = role;
  message["content"] = std::move(content);
  row.conversation.messages.push_back(std::move(message));
}

}  // namespace sluice::data
