// A conversation with a model.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sluice/generate/answer.h"
#include "sluice/text/chat_template.h"

namespace sluice::generate {

// Keeps what was said; refers to model, tokenizer and template, which outlive it.
class Chat {
 public:
  // `options.stop_ids` are all that end an answer.
  Chat(const Runnable& runnable, const text::Tokenizer& tokenizer, const text::ChatTemplate& chat, GenerateOptions options,
       std::vector<std::string> stop_strings, const std::optional<std::string>& system);

  // The model's answer to `message` after all before, given to `show` as it comes. Error when the template refuses the conversation, and
  // when it has grown too long for the model; then the message is not part of the conversation.
  Answer say(const std::string& message, const std::function<void(const std::string& piece)>& show);

 private:
  Runnable runnable_;
  const text::Tokenizer& tokenizer_;
  const text::ChatTemplate& chat_;
  GenerateOptions options_;
  std::vector<std::string> stop_strings_;
  OrderedJson messages_ = OrderedJson::array();
};

// The special token that `chat` writes behind an assistant's turn, which ends an answer too: a model's eos token may be another. Nothing
// where it writes none, or cannot render a conversation of one question and one answer.
std::optional<std::int32_t> turn_end_id(const text::ChatTemplate& chat, const text::Tokenizer& tokenizer);

}  // namespace sluice::generate
