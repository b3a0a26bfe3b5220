// The chat template of a tokenizer or a model: from a conversation to the text that the model reads.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/base/json.h"
#include "sluice/text/jinja/template.h"

namespace sluice::text {

// Whether the text ends with what makes the model answer (the head of an assistant's turn), where the template has such a thing.
enum class GenerationPrompt { kAdd, kLeaveOut };

// A conversation as Hugging Face's chat format has it. Messages reach the template as they are, null members included.
struct Conversation {
  OrderedJson messages = OrderedJson::array();  // [{"role": ..., "content": ...}, ...]
  OrderedJson tools;                            // a list of JSON schemas, or null
  GenerationPrompt generation_prompt = GenerationPrompt::kLeaveOut;
  OrderedJson variables = OrderedJson::object();  // further names for the template, such as enable_thinking
};

// A conversation of the row {"messages", "tools"?, "add_generation_prompt"?, "chat_template_kwargs"?}. Error naming `where` for a member of
// the wrong kind, for no messages and for a message without a role.
Conversation read_conversation(const OrderedJson& row, const std::string& where);

class ChatTemplate {
 public:
  // The template of `folder`, or of the folder that a tokenizer's file lies in: chat_template.jinja, with the further templates of
  // chat_templates/, else the chat_template of tokenizer_config.json, a string or a list of {"name", "template"}. Null when there is none.
  // Special tokens, for the names bos_token, eos_token ..., are those of tokenizer_config.json, and of special_tokens_map.json what that
  // does not mention. Error for files that are not whole and for a template that is none.
  static std::unique_ptr<ChatTemplate> open(const fs::path& folder_or_file);

  // The template `source`, which `where` names in errors, with the special tokens of the tokenizer at `folder_or_file`.
  static std::unique_ptr<ChatTemplate> from_source(std::string_view source, const std::string& where, const fs::path& folder_or_file);

  // The text, by the template "tool_use" where there is one and the conversation has tools, else by "default". jinja::Refusal where the
  // template refuses the conversation; Error where it cannot be rendered. Thread-safe.
  jinja::Template::Rendered render(const Conversation& conversation) const;

  // Whether the template that renders `conversation` marks what the assistant writes by {% generation %}.
  bool marks_generation(const Conversation& conversation) const { return chosen(conversation).has_generation(); }

  // The texts of the special tokens, by their roles.
  const OrderedJson& special_tokens() const { return special_tokens_; }

 private:
  ChatTemplate() = default;
  void add_special_tokens_of(const fs::path& folder, const OrderedJson& config);
  void add_files(const fs::path& folder);
  void add_from_config(const OrderedJson& config, const std::string& where);
  const jinja::Template& chosen(const Conversation& conversation) const;

  struct Named {
    std::string name;
    jinja::Template source;
  };
  std::string where_;
  std::vector<Named> templates_;  // by name
  OrderedJson special_tokens_ = OrderedJson::object();
};

}  // namespace sluice::text
