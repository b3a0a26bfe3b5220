#include "sluice/text/assistant_spans.h"

#include <algorithm>
#include <optional>

#include "sluice/base/error.h"
#include "sluice/text/jinja/characters.h"

namespace sluice::text {
namespace {

class TurnFinder {
 public:
  TurnFinder(const ChatTemplate& chat, const Conversation& conversation, const std::string& whole)
      : chat_(chat), conversation_(conversation), whole_(whole) {}

  TextSpan turn(std::size_t index) const {
    const std::string before = prefix(index, index, GenerationPrompt::kAdd);
    const std::string through = prefix(index + 1, index, GenerationPrompt::kLeaveOut);
    if (!whole_.starts_with(before)) {
      if (const auto span = turn_before_user(index, before)) return *span;
      fail(index, "the messages before it are rendered otherwise when it follows");
    }
    if (!through.starts_with(before)) fail(index, "it is not rendered behind the generation prompt");
    const std::size_t begin = before.size();
    if (whole_.starts_with(through)) {
      require_own_end(index, before, through);
      if (through.size() == begin) fail(index, "it is rendered as nothing");
      return {begin, through.size()};
    }
    return {begin, begin + shared_ending(index, std::string_view(through).substr(begin), std::string_view(whole_).substr(begin))};
  }

 private:
  [[noreturn]] static void fail(std::size_t index, const std::string& reason) {
    throw Error(
        "which tokens the assistant wrote is not clear from the chat template: of message " + std::to_string(index + 1) + ", " + reason,
        "put the template's assistant part into {% generation %} ... {% endgeneration %}, or leave such conversations out");
  }

  // A template may word turns otherwise once the user speaks again (without their reasoning, say). Then the turn is what the messages up to
  // it and that user's message have more than those before it and the same message: it begins with the generation prompt.
  std::optional<TextSpan> turn_before_user(std::size_t index, const std::string& prompted) const {
    std::size_t user = index + 1;
    while (user < conversation_.messages.size() && conversation_.messages[user]["role"] != "user") ++user;
    if (user == conversation_.messages.size()) return std::nullopt;
    const std::string plain = prefix(index, index, GenerationPrompt::kLeaveOut);
    if (!prompted.starts_with(plain) || prompted == plain) return std::nullopt;
    const std::string prompt = prompted.substr(plain.size());
    const std::string without = with_user(index, user, index), with = with_user(index + 1, user, index);
    if (with.size() <= without.size()) return std::nullopt;
    const std::size_t length = with.size() - without.size();
    for (std::size_t begin = with.rfind(prompt); begin != std::string::npos; begin = begin == 0 ? std::string::npos : with.rfind(prompt, begin - 1)) {
      const bool inserted = begin <= without.size() && with.compare(0, begin, without, 0, begin) == 0 && with.compare(begin + length, std::string::npos, without, begin) == 0;
      if (inserted && length > prompt.size() && whole_.starts_with(std::string_view(with).substr(0, begin + length))) return TextSpan{begin + prompt.size(), begin + length};
    }
    return std::nullopt;
  }

  // The first `count` messages, and behind them message `user`.
  std::string with_user(std::size_t count, std::size_t user, std::size_t turn) const {
    Conversation part = conversation_;
    part.messages.erase(part.messages.begin() + static_cast<std::ptrdiff_t>(count), part.messages.end());
    part.messages.push_back(conversation_.messages[user]);
    return rendered(part, count, turn);
  }

  // The first `count` messages alone.
  std::string prefix(std::size_t count, std::size_t turn, GenerationPrompt generation_prompt) const {
    Conversation part = conversation_;
    part.messages.erase(part.messages.begin() + static_cast<std::ptrdiff_t>(count), part.messages.end());
    part.generation_prompt = generation_prompt;
    return rendered(part, count, turn);
  }

  std::string rendered(const Conversation& part, std::size_t count, std::size_t turn) const {
    try {
      return chat_.render(part).text;
    } catch (const jinja::Refusal& refusal) {
      fail(turn, "the first " + std::to_string(count) + " messages alone are refused (" + refusal.what() + ")");
    } catch (const Error& error) {
      fail(turn, "the first " + std::to_string(count) + " messages alone cannot be rendered (" + error.problem() + ")");
    }
  }

  // A template without a generation prompt, or that always adds it: then all turns end alike, and the head of the next belongs to none.
  void require_own_end(std::size_t index, const std::string& before, const std::string& through) const {
    const bool prompted = before != prefix(index, index, GenerationPrompt::kLeaveOut);
    if (prompted || before.empty() || through.back() != before.back()) return;
    fail(index, "the template takes no notice of add_generation_prompt and ends all turns alike");
  }

  // The turn is worded otherwise in the whole than at the end of a conversation. How much of the whole it is: the longest end of `alone`
  // that `rest` begins with.
  std::size_t shared_ending(std::size_t index, std::string_view alone, std::string_view rest) const {
    std::size_t length = std::min(alone.size(), rest.size());
    while (length > 0 && !rest.starts_with(alone.substr(alone.size() - length))) --length;
    if (length == 0 || rest.substr(0, length).find(last_line(index)) == std::string_view::npos)
      fail(index, "it is rendered otherwise when messages follow");
    return length;
  }

  // Of what the message says; it must be in the turn.
  std::string last_line(std::size_t index) const {
    const OrderedJson& message = conversation_.messages[index];
    if (!message.contains("content") || !message["content"].is_string()) return "";
    const auto& content = message["content"].get_ref<const std::string&>();
    const std::string_view text = std::string_view(content).substr(0, jinja::trailing_space(content));
    return std::string(text.substr(text.rfind('\n') + 1));
  }

  const ChatTemplate& chat_;
  const Conversation& conversation_;
  const std::string& whole_;
};

}  // namespace

std::vector<TextSpan> assistant_spans(const ChatTemplate& chat, const Conversation& conversation,
                                      const jinja::Template::Rendered& rendered) {
  std::vector<TextSpan> spans;
  if (chat.marks_generation(conversation)) {
    if (rendered.generation_captured)
      throw Error("the chat template has a {% generation %} inside a macro or a {% set %}, where its place in the text is not known",
                  "put {% generation %} around what is printed at the top level of the template or in its loops");
    std::ranges::copy_if(rendered.generations, std::back_inserter(spans), [](const TextSpan& span) { return span.end > span.begin; });
    return spans;
  }
  const TurnFinder finder(chat, conversation, rendered.text);
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    if (conversation.messages[i]["role"] == "assistant") spans.push_back(finder.turn(i));
  }
  return spans;
}

}  // namespace sluice::text
