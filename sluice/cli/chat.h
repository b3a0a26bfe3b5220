// `sluice generate --chat`: a conversation by lines.
#pragma once
#include <iosfwd>
#include <string>
#include <vector>

#include "sluice/generate/chat.h"

namespace sluice::cli {

enum class AnswerForm { kText, kJson };  // the text as it comes and a line end; or a line {"text", "ids"}

// Says `message` and writes the answer to `out`. Error when it cannot be written.
void answer_message(generate::Chat& chat, const std::string& message, AnswerForm form, std::ostream& out);

// Each line of `in` is a message, until its end; blank lines are skipped. On a terminal, a sign before each on standard error. One that
// cannot be part of the conversation (too long, not UTF-8) is an error on standard error and an empty answer, with "error" in JSON.
void converse(generate::Chat& chat, AnswerForm form, std::istream& in, std::ostream& out);

}  // namespace sluice::cli
