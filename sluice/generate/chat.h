// A conversation with a model.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/generate/answer.h"
#include "sluice/text/chat_template.h"

namespace sluice::generate {

// What is wrong with one message; the conversation can go on without it.
class MessageError : public Error {
 public:
  explicit MessageError(const Error& error) : Error(error.problem(), error.remedy()) {}
};

// Keeps what was said; refers to model, tokenizer and template, which outlive it.
class Chat {
 public:
  // `options.stop_ids` are all that end an answer.
  Chat(const Runnable& runnable, const text::Tokenizer& tokenizer, const text::ChatTemplate& chat, GenerateOptions options,
       std::vector<std::string> stop_strings, const std::optional<std::string>& system);

  // The model's answer to `message` after all before, given to `show` as it comes. Where conversation and answer are more than the model's
  // positions, the oldest turns behind the system message are left out from there on, which `note` is told before. MessageError when the
  // message alone is too long or is not UTF-8, Error when the template refuses the conversation; then it is as it was.
  Answer say(const std::string& message, const std::function<void(const std::string& piece)>& show,
             const std::function<void(const std::string& line)>& note);

 private:
  std::vector<std::int32_t> prompt_of(const OrderedJson& messages) const;
  bool fits(const std::vector<std::int32_t>& prompt) const;

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
