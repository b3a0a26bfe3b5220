#include "sluice/data/instruct/templates.h"

#include "sluice/base/error.h"
#include "sluice/data/formats.h"

namespace sluice::data {
namespace {

// Names beside those of a conversation: `leading_text`, the text of the tokens that the tokenizer puts before a text; `eos_token`, the
// tokenizer's own. `{%-` and `-%}` strip the line breaks between the parts.

// What none of ours has a place for.
constexpr const char* kRefusals = R"(
{%- if tools -%}{{- raise_exception('this template has no place for tools') -}}{%- endif -%}
{%- for message in messages -%}
  {%- if message.tool_calls -%}{{- raise_exception('this template has no place for tool calls') -}}{%- endif -%}
  {%- if message.reasoning_content -%}{{- raise_exception('this template has no place for reasoning') -}}{%- endif -%}
{%- endfor -%}
)";

constexpr const char* kAlpaca = R"(
{%- set about_input = messages | selectattr('role', 'equalto', 'user') | map(attribute='input') | select | list -%}
{{- leading_text -}}
{%- if messages[0].role == 'system' -%}
  {{- messages[0].content + '\n\n' -}}
{%- elif about_input -%}
  {{- 'Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n' -}}
{%- else -%}
  {{- 'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}
    {%- if message.input -%}
      {{- '### Instruction:\n' + message.instruction + '\n\n### Input:\n' + message.input + '\n\n### Response:\n' -}}
    {%- else -%}
      {{- '### Instruction:\n' + message.content + '\n\n### Response:\n' -}}
    {%- endif -%}
  {%- elif message.role == 'assistant' -%}
    {%- generation -%}{{- message.content + eos_token -}}{%- endgeneration -%}
    {%- if not loop.last -%}{{- '\n\n' -}}{%- endif -%}
  {%- elif not (message.role == 'system' and loop.first) -%}
    {{- raise_exception('template alpaca has no place for the role ' + message.role) -}}
  {%- endif -%}
{%- endfor -%}
)";

constexpr const char* kChatml = R"(
{{- leading_text -}}
{%- for message in messages -%}
  {{- '<|im_start|>' + message.role + '\n' -}}
  {%- if message.role == 'assistant' -%}
    {%- generation -%}{{- message.content + '<|im_end|>' -}}{%- endgeneration -%}{{- '\n' -}}
  {%- else -%}
    {{- message.content + '<|im_end|>\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
)";

constexpr const char* kLlama2 = R"(
{%- set system = '' -%}
{%- set turns = messages -%}
{%- if messages[0].role == 'system' -%}
  {%- set system = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' -%}
  {%- set turns = messages[1:] -%}
{%- endif -%}
{%- for message in turns -%}
  {%- if message.role == 'user' -%}
    {{- leading_text + '[INST] ' + ((system if loop.first else '') + message.content).strip() + ' [/INST]' -}}
  {%- elif message.role == 'assistant' -%}
    {%- generation -%}{{- ' ' + message.content.strip() + ' ' + eos_token -}}{%- endgeneration -%}
  {%- else -%}
    {{- raise_exception('template llama2 has no place for the role ' + message.role) -}}
  {%- endif -%}
{%- endfor -%}
)";

constexpr const char* kLlama3 = R"(
{{- leading_text -}}
{%- for message in messages -%}
  {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' -}}
  {%- if message.role == 'assistant' -%}
    {%- generation -%}{{- message.content.strip() + '<|eot_id|>' -}}{%- endgeneration -%}
  {%- else -%}
    {{- message.content.strip() + '<|eot_id|>' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}{%- endif -%}
)";

bool is_one_token(const text::Tokenizer& tokenizer, const std::string& text) {
  return tokenizer.encode(text, text::SpecialTokens::kNone).size() == 1;
}

// The text that is encoded to `ids`.
std::string text_of(const text::Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += tokenizer.token(id);
  if (tokenizer.encode(text, text::SpecialTokens::kNone) == ids) return text;
  throw Error("the tokenizer does not read \"" + text + "\" as its own special token, so no template can write it",
              "use a folder with a tokenizer.json: the text of a special token is plain text to a tokenizer.model");
}

void require_tokens(const text::Tokenizer& tokenizer, const std::vector<std::string>& texts, const std::string& name) {
  for (const std::string& text : texts) {
    if (is_one_token(tokenizer, text)) continue;
    throw Error("data.template = " + name + " needs the token " + text + ", which the tokenizer does not have",
                "use the tokenizer of a Llama 3 model, or another template: chat, alpaca, chatml, llama2");
  }
}

PromptTemplate of_tokenizer(const TokenizerSource& from) {
  PromptTemplate out;
  out.chat = text::ChatTemplate::open(from.path);
  if (out.chat) return out;
  throw Error("data.template = chat, and " + from.path.string() + " has no chat template",
              "name another template (data.template=alpaca, chatml, llama2, llama3 or custom), or put one there as chat_template.jinja");
}

// A template's text, or the file that holds it.
PromptTemplate of_recipe(const std::string& given, const TokenizerSource& from) {
  if (given.empty())
    throw Error("data.template = custom, and data.custom_template is empty", "give a Jinja chat template, or the file that holds one");
  const bool is_text = given.find("{{") != std::string::npos || given.find("{%") != std::string::npos;
  if (!is_text && !fs::is_regular_file(given)) {
    throw Error("data.custom_template = " + given + " is neither a Jinja template nor a file",
                "write the template with {{ message.content }} and {{ eos_token }} in it, or give the path of a file that holds one");
  }
  PromptTemplate out;
  out.source = is_text ? given : read_file(given);
  out.chat = text::ChatTemplate::from_source(out.source, is_text ? "data.custom_template" : given, from.path);
  return out;
}

PromptTemplate of_ours(const char* source, const std::string& name, const TokenizerSource& from) {
  PromptTemplate out;
  out.source = std::string(kRefusals) + source;
  out.chat = text::ChatTemplate::from_source(out.source, "template " + name, from.path);
  return out;
}

}  // namespace

PromptTemplate make_prompt_template(const InstructConfig& config, const TokenizerSource& from) {
  const text::Tokenizer& tokenizer = *from.tokenizer;
  if (config.chat_template == Template::kChat) return of_tokenizer(from);
  PromptTemplate out;
  switch (config.chat_template) {
    case Template::kAlpaca:
      out = of_ours(kAlpaca, "alpaca", from);
      break;
    case Template::kChatml:
      out = of_ours(kChatml, "chatml", from);
      break;
    case Template::kLlama2:
      out = of_ours(kLlama2, "llama2", from);
      break;
    case Template::kLlama3:
      out = of_ours(kLlama3, "llama3", from);
      break;
    case Template::kCustom:
      out = of_recipe(config.custom_template, from);
      break;
    case Template::kChat:
      break;
  }
  out.variables["leading_text"] = text_of(tokenizer, leading_tokens(tokenizer));
  if (config.chat_template == Template::kLlama3)
    require_tokens(tokenizer, {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, "llama3");
  if (config.chat_template == Template::kChatml && !is_one_token(tokenizer, "<|im_end|>")) out.plain_end = "<|im_end|>";
  if (config.chat_template == Template::kAlpaca || config.chat_template == Template::kLlama2 || tokenizer.eos_id())
    out.variables["eos_token"] = text_of(tokenizer, {end_token(tokenizer)});
  return out;
}

std::string asking_note(const InstructConfig& config) {
  if (config.chat_template == Template::kChat) return "";
  const std::string name(names(config.chat_template)[static_cast<std::size_t>(config.chat_template)]);
  const std::string remedy = config.chat_template == Template::kCustom ? "put data.custom_template beside the model as chat_template.jinja" : "give --prompt in the form that `sluice data preview` shows";
  return "trained with data.template=" + name + ", while `sluice generate --chat` asks by the tokenizer's own template: to ask as it was trained, " + remedy;
}

}  // namespace sluice::data
