#include "sluice/generate/chat.h"

#include <algorithm>

#include "sluice/text/encoded_chat.h"
#include "sluice/text/utf8.h"

namespace sluice::generate {
namespace {

OrderedJson message_of(const char* role, const std::string& content) { return {{"role", role}, {"content", content}}; }

// Without the first user message and what answers it; false where that is the last one.
bool drop_oldest_turn(OrderedJson& messages) {
  const auto is_question = [](const OrderedJson& message) { return message["role"] == "user"; };
  const auto first = std::find_if(messages.begin(), messages.end(), is_question);
  const auto next = first == messages.end() ? first : std::find_if(first + 1, messages.end(), is_question);
  if (next == messages.end()) return false;
  messages.erase(first, next);
  return true;
}

std::string rendered(const text::ChatTemplate& chat, const OrderedJson& messages, text::GenerationPrompt prompt) {
  text::Conversation conversation;
  conversation.messages = messages;
  conversation.generation_prompt = prompt;
  return chat.render(conversation).text;
}

}  // namespace

Chat::Chat(const Runnable& runnable, const text::Tokenizer& tokenizer, const text::ChatTemplate& chat, GenerateOptions options,
           std::vector<std::string> stop_strings, const std::optional<std::string>& system)
    : runnable_(runnable), tokenizer_(tokenizer), chat_(chat), options_(std::move(options)), stop_strings_(std::move(stop_strings)) {
  if (system) messages_.push_back(message_of("system", *system));
}

std::vector<std::int32_t> Chat::prompt_of(const OrderedJson& messages) const {
  std::string text;
  try {
    text = rendered(chat_, messages, text::GenerationPrompt::kAdd);
  } catch (const text::jinja::Refusal& refusal) {
    throw Error(std::string("the chat template refuses the conversation: ") + refusal.what(),
                "say it as the template wants it (many know no --system), or leave --chat out and write the prompt yourself");
  }
  return text::encode_chat_text(tokenizer_, chat_, text);
}

bool Chat::fits(const std::vector<std::int32_t>& prompt) const {
  return static_cast<std::int64_t>(prompt.size()) + options_.max_tokens <= runnable_.config.max_positions();
}

Answer Chat::say(const std::string& message, const std::function<void(const std::string& piece)>& show,
                 const std::function<void(const std::string& line)>& note) {
  OrderedJson messages = messages_;
  const auto of_message = [](const auto& check) {
    try {
      check();
    } catch (const Error& error) {
      throw MessageError(error);
    }
  };
  of_message([&] { text::require_utf8(message, "the message"); });
  messages.push_back(message_of("user", message));
  std::vector<std::int32_t> prompt = prompt_of(messages);
  std::int64_t num_left_out = 0;
  for (; !fits(prompt) && drop_oldest_turn(messages); ++num_left_out) prompt = prompt_of(messages);
  of_message([&] { require_runnable(runnable_, prompt, options_.max_tokens, "the message"); });
  if (num_left_out > 0) {
    note("the conversation is longer than the model's " + std::to_string(runnable_.config.max_positions()) + " positions: its oldest " +
         (num_left_out == 1 ? "turn is" : std::to_string(num_left_out) + " turns are") + " left out from here on");
  }
  const Answer out = answer(runnable_, tokenizer_, prompt, options_, stop_strings_, show);
  messages.push_back(message_of("assistant", out.text));
  messages_ = std::move(messages);
  ++options_.first_index;
  return out;
}

std::optional<std::int32_t> turn_end_id(const text::ChatTemplate& chat, const text::Tokenizer& tokenizer) {
  const std::string content = "42";
  std::string text;
  try {
    text = rendered(chat, {message_of("user", "6 * 7?"), message_of("assistant", content)}, text::GenerationPrompt::kLeaveOut);
  } catch (const text::jinja::Refusal&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
  const std::size_t at = text.rfind(content);
  if (at == std::string::npos) return std::nullopt;
  const std::vector<std::int32_t> ids = tokenizer.encode(text.substr(at), text::SpecialTokens::kNone);
  for (const std::int32_t id : ids) {
    const bool special =
        tokenizer.decode(std::span(&id, 1), text::DecodeSpecial::kSkip).empty() && !tokenizer.decode(std::span(&id, 1)).empty();
    if (special) return id;
  }
  return std::nullopt;
}

}  // namespace sluice::generate
