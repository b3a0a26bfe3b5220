#include "sluice/data/instruct/mask.h"

#include <algorithm>
#include <optional>

#include "sluice/base/error.h"
#include "sluice/text/encoded_chat.h"

namespace sluice::data {
namespace {

using text::TextSpan;

text::jinja::Template::Rendered render(const text::ChatTemplate& chat, const text::Conversation& conversation) {
  try {
    return chat.render(conversation);
  } catch (const text::jinja::Refusal& refusal) {
    throw Error(std::string("the template refuses the conversation: ") + refusal.what(),
                "leave the row out or change its roles, or use another data.template");
  }
}

// What a template gets: messages without our own members, and the format's variables.
text::Conversation for_template(text::Conversation conversation, const PromptTemplate& format) {
  for (OrderedJson& message : conversation.messages) message.erase("weight");
  for (const auto& [name, value] : format.variables.items()) {
    if (!conversation.variables.contains(name)) conversation.variables[name] = value;
  }
  return conversation;
}

struct Turn {
  std::size_t message;
  float weight;
};

// The assistant's messages and what they count.
std::vector<Turn> turns_of(const text::Conversation& conversation, TrainOn train_on) {
  std::vector<Turn> turns;
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    const OrderedJson& message = conversation.messages[i];
    if (message["role"] != "assistant") continue;
    if (train_on == TrainOn::kLast && !turns.empty()) turns.back().weight = 0;
    turns.push_back({i, message.contains("weight") ? message["weight"].get<float>() : 1.0f});
  }
  return turns;
}

// Where the first `count` messages end in `whole`.
std::size_t end_of_messages(const text::ChatTemplate& chat, text::Conversation conversation, std::size_t count, const std::string& whole) {
  conversation.messages.erase(conversation.messages.begin() + static_cast<std::ptrdiff_t>(count), conversation.messages.end());
  const std::string text = render(chat, conversation).text;
  if (whole.starts_with(text)) return text.size();
  throw Error("the template marks other turns than the conversation has, and renders its first " + std::to_string(count) +
                  " messages otherwise alone",
              "put {% generation %} around each of the assistant's messages once, or leave weights and data.train_on=last out");
}

// The weight of each span. A template may mark a message in several pieces, or not at all.
std::vector<float> weights_of(const std::vector<TextSpan>& spans, const std::vector<Turn>& turns, const text::ChatTemplate& chat,
                              const text::Conversation& conversation, const std::string& whole) {
  std::vector<float> weights;
  if (std::ranges::all_of(turns, [&](const Turn& turn) { return turn.weight == turns[0].weight; })) {
    weights.assign(spans.size(), turns.empty() ? 0 : turns[0].weight);
  } else if (spans.size() == turns.size()) {
    std::ranges::transform(turns, std::back_inserter(weights), &Turn::weight);
  } else {
    std::size_t turn = 0, end = 0;
    for (const TextSpan& span : spans) {
      for (; span.end > end; ++turn) {
        SLUICE_CHECK(turn < turns.size(), "a span behind the last of the assistant's messages");
        end = end_of_messages(chat, conversation, turns[turn].message + 1, whole);
      }
      weights.push_back(turns[turn - 1].weight);
    }
  }
  return weights;
}

// Tokens [begin, end).
struct TokenRange {
  std::size_t begin, end;
};

bool is_blank(const std::string& text) { return text.find_first_not_of(" \t\r\n") == std::string::npos; }

// The special token that ends `turn` and what stands behind it; empty, at the turn's end, where there is none.
TokenRange special_end(const text::Tokenizer& tokenizer, const std::vector<std::int32_t>& ids, TokenRange turn) {
  std::size_t end = turn.end;
  for (std::size_t at = turn.end; at > turn.begin; --at) {
    const auto id = std::span(ids).subspan(at - 1, 1);
    const std::string shown = tokenizer.decode(id, text::DecodeSpecial::kKeep);
    const bool special = !shown.empty() && tokenizer.decode(id, text::DecodeSpecial::kSkip).empty();
    if (special)
      end = at - 1;
    else if (!is_blank(shown))
      break;
  }
  return {end, turn.end};
}

TokenRange range_of(const text::Tokenizer& tokenizer, const MaskedConversation& of, const TextSpan& span) {
  const auto inside = text::token_mask(tokenizer, of.text, of.ids, std::span(&span, 1));
  const auto first = std::ranges::find(inside, 1);
  const auto last = std::find(inside.rbegin(), inside.rend(), 1);
  const auto begin = static_cast<std::size_t>(first - inside.begin());
  return {begin, first == inside.end() ? begin : static_cast<std::size_t>(inside.rend() - last)};
}

// The tokens of each of `spans`, in order; those of spans that share a token overlap.
std::vector<TokenRange> ranges_of(const text::Tokenizer& tokenizer, const MaskedConversation& of, const std::vector<TextSpan>& spans) {
  const auto inside = text::token_mask(tokenizer, of.text, of.ids, spans);
  std::vector<TokenRange> ranges;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    if (!inside[i]) continue;
    if (ranges.empty() || ranges.back().end != i) ranges.push_back({i, i});
    ranges.back().end = i + 1;
  }
  if (ranges.size() == spans.size()) return ranges;
  ranges.clear();  // some meet, or are no token: one by one
  for (const TextSpan& span : spans) ranges.push_back(range_of(tokenizer, of, span));
  return ranges;
}

TokenRange plain_end(const text::Tokenizer& tokenizer, const MaskedConversation& of, const TextSpan& span, const std::string& mark) {
  return range_of(tokenizer, of, {of.text.rfind(mark, span.end - 1), span.end});
}

}  // namespace

MaskedConversation mask(const text::Conversation& given, const PromptTemplate& format, const text::Tokenizer& tokenizer,
                        const InstructConfig& config) {
  using End = MaskedConversation::End;
  const text::Conversation conversation = for_template(given, format);
  const text::ChatTemplate& chat = *format.chat;
  const auto rendered = render(chat, conversation);
  const std::vector<TextSpan> spans = text::assistant_spans(chat, conversation, rendered);
  const std::vector<float> weights = weights_of(spans, turns_of(given, config.train_on), chat, conversation, rendered.text);
  MaskedConversation out;
  out.text = rendered.text;
  out.ids = text::encode_chat_text(tokenizer, chat, out.text);
  out.weights.assign(out.ids.size(), 0);
  const std::vector<TokenRange> turns = ranges_of(tokenizer, out, spans);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (weights[i] == 0) continue;
    std::fill(out.weights.begin() + static_cast<std::ptrdiff_t>(turns[i].begin),
              out.weights.begin() + static_cast<std::ptrdiff_t>(turns[i].end), weights[i]);
    const TokenRange end =
        format.plain_end.empty() ? special_end(tokenizer, out.ids, turns[i]) : plain_end(tokenizer, out, spans[i], format.plain_end);
    out.end = end.begin == end.end ? End::kNone : config.train_on_end ? End::kTrained : End::kLeftOut;
    if (!config.train_on_end)
      std::fill(out.weights.begin() + static_cast<std::ptrdiff_t>(end.begin), out.weights.begin() + static_cast<std::ptrdiff_t>(end.end),
                0.0f);
  }
  return out;
}

}  // namespace sluice::data
