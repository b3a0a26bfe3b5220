// Which part of a rendered conversation the assistant wrote.
#pragma once
#include <string>
#include <vector>

#include "sluice/text/chat_template.h"

namespace sluice::text {

using TextSpan = jinja::Template::Rendered::Span;

// The bytes of `rendered`, which is `conversation` rendered by `chat`, that the messages of role "assistant" stand for, in order: what a
// model is to learn to write.
//   Where the template marks them by {% generation %}, what it marks.
//   Elsewhere a turn begins where the messages before it end when they are rendered with the generation prompt: the model reads up to
//   there. It ends where the messages up to it end, so the end token belongs to it, and the white space that the template puts behind
//   that. A template may render the last turn in more words than an earlier one (with its reasoning, say): then what both have; or all
//   turns since the user last spoke: then what the turn adds before the user's next message.
// Error naming the turn where this does not say which bytes: where the messages before a turn cannot be rendered alone, where they are
// rendered otherwise than in the whole, or where user's and assistant's turns end alike without a generation prompt.
std::vector<TextSpan> assistant_spans(const ChatTemplate& chat, const Conversation& conversation,
                                      const jinja::Template::Rendered& rendered);

}  // namespace sluice::text
