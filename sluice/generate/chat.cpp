#include "sluice/generate/chat.h"

#include "sluice/base/error.h"
#include "sluice/text/encoded_chat.h"

namespace sluice::generate {
namespace {

OrderedJson message_of(const char* role, const std::string& content) { return {{"role", role}, {"content", content}}; }

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

Answer Chat::say(const std::string& message, const std::function<void(const std::string& piece)>& show) {
  OrderedJson messages = messages_;
  messages.push_back(message_of("user", message));
  std::string text;
  try {
    text = rendered(chat_, messages, text::GenerationPrompt::kAdd);
  } catch (const text::jinja::Refusal& refusal) {
    throw Error(std::string("the chat template refuses the conversation: ") + refusal.what(),
                "say it as the template wants it (many know no --system), or leave --chat out and write the prompt yourself");
  }
  const std::vector<std::int32_t> prompt = text::encode_chat_text(tokenizer_, chat_, text);
  require_runnable(runnable_, prompt, options_.max_tokens, "the conversation");
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
