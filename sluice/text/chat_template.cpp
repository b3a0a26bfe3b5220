#include "sluice/text/chat_template.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"

namespace sluice::text {
namespace {

OrderedJson read_object(const fs::path& path) {
  if (!fs::exists(path)) return OrderedJson::object();
  OrderedJson json = parse_ordered_json(read_file(path), path.string());
  if (!json.is_object()) throw Error(path.string() + " is not a JSON object", "copy or download the file again");
  return json;
}

fs::path folder_of(const fs::path& folder_or_file) { return fs::is_directory(folder_or_file) ? folder_or_file : folder_or_file.parent_path(); }

// Names that end in "_token" stand for special tokens: strings, or objects with the string as content.
void add_special_tokens(const OrderedJson& config, OrderedJson& tokens, std::vector<std::string>& decided) {
  for (const auto& [name, value] : config.items()) {
    if (!name.ends_with("_token") || name.starts_with("add_") || std::ranges::find(decided, name) != decided.end()) continue;
    decided.push_back(name);
    const OrderedJson text = value.is_object() && value.contains("content") ? value["content"] : value;
    if (text.is_string()) tokens[name] = text;
  }
}

[[noreturn]] void fail_kind(const std::string& where, const char* member, const std::string& wanted) {
  throw Error(
      where + ": \"" + member + "\" is not " + wanted,
      "give {\"messages\": [{\"role\": ..., \"content\": ...}, ...], \"tools\"?: [...], \"add_generation_prompt\"?: true or false}");
}

}  // namespace

Conversation read_conversation(const OrderedJson& row, const std::string& where) {
  if (!row.is_object() || !row.contains("messages") || !row["messages"].is_array() || row["messages"].empty())
    fail_kind(where, "messages", "a list of at least one message");
  Conversation conversation;
  conversation.messages = row["messages"];
  for (const OrderedJson& message : conversation.messages) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string())
      fail_kind(where, "messages", "a list of objects that each have a \"role\"");
  }
  if (row.contains("tools")) conversation.tools = row["tools"];
  if (!conversation.tools.is_null() && !conversation.tools.is_array()) fail_kind(where, "tools", "a list or null");
  if (row.contains("add_generation_prompt")) {
    if (!row["add_generation_prompt"].is_boolean()) fail_kind(where, "add_generation_prompt", "true or false");
    if (row["add_generation_prompt"].get<bool>()) conversation.generation_prompt = GenerationPrompt::kAdd;
  }
  if (row.contains("chat_template_kwargs") && !row["chat_template_kwargs"].is_null()) conversation.variables = row["chat_template_kwargs"];
  if (!conversation.variables.is_object()) fail_kind(where, "chat_template_kwargs", "an object");
  return conversation;
}

std::unique_ptr<ChatTemplate> ChatTemplate::open(const fs::path& folder_or_file) {
  const fs::path folder = folder_of(folder_or_file);
  const fs::path config_path = folder / "tokenizer_config.json";
  const OrderedJson config = read_object(config_path);
  std::unique_ptr<ChatTemplate> out(new ChatTemplate);
  out->where_ = folder.string();
  out->add_files(folder);
  if (out->templates_.empty()) out->add_from_config(config, config_path.string());
  if (out->templates_.empty()) return nullptr;
  out->add_special_tokens_of(folder, config);
  return out;
}

std::unique_ptr<ChatTemplate> ChatTemplate::from_source(std::string_view source, const std::string& where, const fs::path& folder_or_file) {
  const fs::path folder = folder_of(folder_or_file);
  std::unique_ptr<ChatTemplate> out(new ChatTemplate);
  out->where_ = where;
  out->templates_.push_back({"default", jinja::Template(source, where)});
  out->add_special_tokens_of(folder, read_object(folder / "tokenizer_config.json"));
  return out;
}

void ChatTemplate::add_special_tokens_of(const fs::path& folder, const OrderedJson& config) {
  std::vector<std::string> decided;
  add_special_tokens(config, special_tokens_, decided);
  add_special_tokens(read_object(folder / "special_tokens_map.json"), special_tokens_, decided);
}

void ChatTemplate::add_files(const fs::path& folder) {
  const auto add = [&](const std::string& name, const fs::path& path) {
    templates_.push_back({name, jinja::Template(read_file(path), path.string())});
  };
  if (fs::exists(folder / "chat_template.jinja")) add("default", folder / "chat_template.jinja");
  if (!fs::is_directory(folder / "chat_templates")) return;
  std::vector<fs::path> further;
  for (const auto& entry : fs::directory_iterator(folder / "chat_templates")) {
    if (entry.path().extension() == ".jinja") further.push_back(entry.path());
  }
  std::ranges::sort(further);
  for (const fs::path& path : further) add(path.stem().string(), path);
}

void ChatTemplate::add_from_config(const OrderedJson& config, const std::string& where) {
  if (!config.contains("chat_template") || config["chat_template"].is_null()) return;
  const OrderedJson& given = config["chat_template"];
  const std::string place = where + ": chat_template";
  if (given.is_string()) {
    templates_.push_back({"default", jinja::Template(given.get<std::string>(), place)});
    return;
  }
  for (const OrderedJson& one : given) {
    const bool whole = given.is_array() && one.is_object() && one.contains("name") && one["name"].is_string() && one.contains("template") &&
                       one["template"].is_string();
    if (!whole) throw Error(place + " is neither a string nor a list of {\"name\", \"template\"}", "mend the file");
    const auto name = one["name"].get<std::string>();
    templates_.push_back({name, jinja::Template(one["template"].get<std::string>(), place + " \"" + name + "\"")});
  }
}

const jinja::Template& ChatTemplate::chosen(const Conversation& conversation) const {
  const auto named = [&](const char* name) { return std::ranges::find(templates_, name, &Named::name); };
  if (!conversation.tools.is_null() && named("tool_use") != templates_.end()) return named("tool_use")->source;
  if (named("default") != templates_.end()) return named("default")->source;
  std::vector<std::string> names;
  for (const Named& one : templates_) names.push_back(one.name);
  throw Error(where_ + " has several chat templates (" + join_or(names) + ") and none is named \"default\"",
              "save the one to use as chat_template.jinja");
}

jinja::Template::Rendered ChatTemplate::render(const Conversation& conversation) const {
  OrderedJson variables = special_tokens_;
  variables["messages"] = conversation.messages;
  variables["tools"] = conversation.tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = conversation.generation_prompt == GenerationPrompt::kAdd;
  for (const auto& [name, value] : conversation.variables.items()) variables[name] = value;
  return chosen(conversation).render(variables);
}

}  // namespace sluice::text
