// Settings of the `data` section for conversations and instructions: what a row's columns mean, and what of it is trained on.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/error.h"

namespace sluice::data {

// What turns a conversation into text: the tokenizer's own chat template, one of ours, or the recipe's.
enum class Template { kChat, kAlpaca, kChatml, kLlama2, kLlama3, kCustom };
constexpr std::array<std::string_view, 6> names(Template) { return {"chat", "alpaca", "chatml", "llama2", "llama3", "custom"}; }

// Which turns of the assistant have a loss.
enum class TrainOn { kAll, kLast };
constexpr std::array<std::string_view, 2> names(TrainOn) { return {"all", "last"}; }

// What becomes of a conversation that is longer than seq_length.
enum class Truncation { kDrop, kLeft, kRight };
constexpr std::array<std::string_view, 3> names(Truncation) { return {"drop", "left", "right"}; }

// Format custom: which column holds what; an empty name is a column that the rows do not have.
struct ColumnsConfig {
  std::string messages, system, prompt, input, response, reasoning, tools, weight;
  std::string role = "role", content = "content";                                                    // of each message
  std::string user = "user", assistant = "assistant", system_role = "system", tool = "tool";  // the values of `role`

  void fields(auto&& field) {
    field("messages", messages, "Column with a list of messages; without it `prompt` and `response` are needed.");
    field("system", system, "Column with the system prompt.");
    field("prompt", prompt, "Column with what the user says.");
    field("input", input, "Column with what the prompt is about, put after it.");
    field("response", response, "Column with the answer.");
    field("reasoning", reasoning, "Column with the reasoning before the answer.");
    field("tools", tools, "Column with the tools' JSON schemas.");
    field("weight", weight, "Column with the row's weight in the loss.");
    field("role", role, "Member of a message that names its role.");
    field("content", content, "Member of a message that holds its text.");
    field("user", user, "What `role` says of the user.");
    field("assistant", assistant, "What `role` says of the assistant.");
    field("system_role", system_role, "What `role` says of the system.");
    field("tool", tool, "What `role` says of a tool's answer.");
  }
};

struct InstructConfig {
  Template chat_template = Template::kChat;
  std::string custom_template, system_prompt;
  TrainOn train_on = TrainOn::kAll;
  bool train_on_end = true;
  Truncation truncation = Truncation::kDrop;
  bool length_buckets = false;
  std::int64_t oasst_max_rank = 0;
  std::vector<std::string> oasst_languages;
  std::string cache_dir;
  ColumnsConfig columns;

  // Flat in the data section: data.template, data.columns.prompt.
  void fields(auto&& field) {
    field("template", chat_template, "Conversations: chat (the tokenizer's own), alpaca, chatml, llama2, llama3, or custom.");
    field("custom_template", custom_template, "template custom: a Jinja chat template, or the file that holds one.");
    field("system_prompt", system_prompt, "System prompt of conversations that bring none.");
    field("train_on", train_on, "Which turns of the assistant have a loss: all, or the last.");
    field("train_on_end", train_on_end, "Whether the token that ends a turn has a loss.");
    field("truncation", truncation, "Conversations longer than seq_length: drop, left (the beginning goes) or right (the end goes).");
    field("length_buckets", length_buckets, "Put conversations of similar length into one batch, so that less is padding.");
    field("oasst_max_rank", oasst_max_rank, "OASST: replies of rank 0 (the best) to this one.");
    field("oasst_languages", oasst_languages, "OASST: only these languages, such as [en, de]; empty: all.");
    field("cache_dir", cache_dir, "Where tokenised conversations are kept; empty: $XDG_CACHE_HOME/sluice or ~/.cache/sluice.");
    field("columns", columns, "");
  }
};

}  // namespace sluice::data
