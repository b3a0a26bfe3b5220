// What data.template names: how a conversation becomes text.
#pragma once
#include <memory>
#include <string>

#include "sluice/base/file.h"
#include "sluice/data/instruct/config.h"
#include "sluice/text/chat_template.h"
#include "sluice/text/tokenizer.h"

namespace sluice::data {

// A tokenizer and the folder or file that it was read from; the tokenizer is borrowed.
struct TokenizerSource {
  const text::Tokenizer* tokenizer = nullptr;
  fs::path path;
};

struct PromptTemplate {
  std::unique_ptr<text::ChatTemplate> chat;
  std::string source;                             // the template's own text where it does not come from the tokenizer's folder
  OrderedJson variables = OrderedJson::object();  // names that it gets beside those of a conversation
  std::string plain_end;                          // what ends an answer where no token of the tokenizer does; empty where one does
};

// The template of `config`:
//   chat     the tokenizer's own;
//   alpaca   Stanford Alpaca's ("### Instruction:"); a system prompt stands in place of its first sentences; the tokenizer's EOS ends an
//   answer; chatml   "<|im_start|>role\n...<|im_end|>\n"; the marks are plain text to a tokenizer that does not have them as tokens; llama2
//   "[INST] ... [/INST] ... </s>" with <<SYS>>, BOS and EOS those of the tokenizer; llama3
//   "<|start_header_id|>role<|end_header_id|>\n\n...<|eot_id|>", which must be tokens of the tokenizer; custom   a Jinja chat template in
//   the recipe, or the file that holds it, which writes {{ eos_token }} itself.
// Ours begin with the tokens that the tokenizer puts before a text, if any; they mark what the assistant writes by {% generation %} and
// refuse what they have no place for: tools, tool calls, reasoning. Error for a tokenizer that lacks a token that is needed.
PromptTemplate make_prompt_template(const InstructConfig& config, const TokenizerSource& tokenizer);

// For the end of a run: how to ask a model that was trained with this template, where the tokenizer's own says it otherwise; else empty.
std::string asking_note(const InstructConfig& config);

}  // namespace sluice::data
