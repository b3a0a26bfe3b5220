// Format custom: data.columns says which column holds what. Prompts and answers may be texts, messages or lists of messages, so that the
// chosen answers of preference sets can be trained on.
#include <algorithm>
#include <memory>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/data/instruct/format_reader.h"
#include "sluice/data/instruct/message.h"
#include "sluice/data/instruct/turn_order.h"

namespace sluice::data {
namespace {

class CustomReader {
 public:
  explicit CustomReader(const ColumnsConfig& columns)
      : columns_(columns), names_{columns.role, columns.content, columns.user, columns.assistant, columns.system_role, columns.tool} {
    if (columns.messages.empty() && columns.response.empty()) {
      throw Error("data.format = custom does not know which column holds the answers",
                  "set data.columns.prompt and data.columns.response, or data.columns.messages, to the names of the file's columns");
    }
    for (const std::string* column : {&columns.messages, &columns.prompt, &columns.response}) {
      if (!column->empty()) required_.push_back({*column});
    }
    for (const auto& [setting, column] : {std::pair{"system", &columns.system},
                                          {"input", &columns.input},
                                          {"reasoning", &columns.reasoning},
                                          {"tools", &columns.tools},
                                          {"weight", &columns.weight}}) {
      if (!column->empty()) optional_.push_back({setting, *column});
    }
  }

  const std::vector<std::vector<std::string>>& required() const { return required_; }
  std::vector<std::string> optional() const {
    std::vector<std::string> names;
    for (const Optional& one : optional_) names.push_back(one.column);
    return names;
  }

  void read(Row& row, const UseConversation& use) {
    note_columns(row);
    InstructRow out;
    out.where = row.where;
    out.expert_label = take(row, {"expert_label"});
    if (OrderedJson weight = take(row, columns_.weight); !weight.is_null())
      out.weight = read_weight(weight, '"' + columns_.weight + '"', row.where);
    out.conversation.tools = read_tools(take(row, columns_.tools), row.where);
    if (std::string system = take_text_of(row, columns_.system); !is_blank(system)) say(out, "system", std::move(system));
    if (!columns_.messages.empty())
      say_all(out, "user", read_list(take(row, columns_.messages), '"' + columns_.messages + '"', row.where), names_,
              '"' + columns_.messages + '"');
    say_prompt(row, out);
    if (!columns_.response.empty()) say_all(out, "assistant", take(row, columns_.response), names_, '"' + columns_.response + '"');
    if (std::string reasoning = take_text_of(row, columns_.reasoning); !is_blank(reasoning))
      out.conversation.messages.back()["reasoning_content"] = std::move(reasoning);
    require_order(out.conversation.messages, has_prompt() ? RoleOrder::kAlternate : RoleOrder::kAnswerAlone, row.where);
    use(std::move(out));
  }

  // A name that no row has is a slip of the pen.
  void require_all_seen() const {
    for (const Optional& one : optional_) {
      if (one.seen) continue;
      const std::string near = nearest(one.column, last_columns_);
      throw Error(
          "data.columns." + one.setting + " = " + one.column + ": no row has such a column",
          near.empty() ? "leave the setting out" : "name a column of the file (did you mean \"" + near + "\"?), or leave the setting out");
    }
  }

 private:
  struct Optional {
    std::string setting, column;
    bool seen = false;
  };

  bool has_prompt() const { return !columns_.messages.empty() || !columns_.prompt.empty(); }
  static OrderedJson take(Row& row, std::string_view column) { return column.empty() ? OrderedJson() : data::take(row, {column}); }
  static std::string take_text_of(Row& row, std::string_view column) { return column.empty() ? "" : take_text(row, {column}); }

  void note_columns(const Row& row) {
    const auto seen = [](const Optional& one) { return one.seen; };
    if (std::ranges::all_of(optional_, seen)) return;
    last_columns_.clear();
    for (const auto& [name, value] : row.columns.items()) last_columns_.push_back(name);
    for (Optional& one : optional_) one.seen = one.seen || row.columns.contains(one.column);
  }

  void say_prompt(Row& row, InstructRow& out) const {
    if (columns_.prompt.empty()) return;
    OrderedJson prompt = take(row, columns_.prompt);
    if (!prompt.is_string()) return say_all(out, "user", std::move(prompt), names_, '"' + columns_.prompt + '"');
    say_instruction(out, std::move(prompt.get_ref<std::string&>()), take_text_of(row, columns_.input));
  }

  ColumnsConfig columns_;
  MessageNames names_;
  std::vector<std::vector<std::string>> required_;
  std::vector<Optional> optional_;
  std::vector<std::string> last_columns_;  // of the row read last
};

}  // namespace

FormatReader custom_format(const ColumnsConfig& columns) {
  const auto reader = std::make_shared<CustomReader>(columns);  // shared by the two functions
  FormatReader format;
  format.required = reader->required();
  format.optional = reader->optional();
  format.read = [reader](Row& row, const UseConversation& use) { reader->read(row, use); };
  format.finish = [reader](const UseConversation&) { reader->require_all_seen(); };
  return format;
}

}  // namespace sluice::data
