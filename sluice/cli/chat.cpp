#include "sluice/cli/chat.h"

#include <unistd.h>

#include <iostream>

#include "sluice/base/json.h"
#include "sluice/cli/standard_streams.h"

namespace sluice::cli {

void answer_message(generate::Chat& chat, const std::string& message, AnswerForm form, std::ostream& out) {
  const auto show = [&](const std::string& piece) {
    if (form == AnswerForm::kText) write_now(out, piece);
  };
  const generate::Answer answer = chat.say(message, show, [](const std::string& line) { std::cerr << "note: " << line << '\n'; });
  write_now(out, form == AnswerForm::kText ? "\n" : dump_json(OrderedJson{{"text", answer.text}, {"ids", answer.ids}}) + "\n");
}

void converse(generate::Chat& chat, AnswerForm form, std::istream& in, std::ostream& out) {
  const bool terminal = isatty(STDIN_FILENO) != 0;
  const auto read = [&](std::string& line) {
    if (terminal) std::cerr << "> " << std::flush;
    return static_cast<bool>(std::getline(in, line));
  };
  for (std::string line; read(line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    try {
      answer_message(chat, line, form, out);
    } catch (const generate::MessageError& error) {
      std::cerr << "error: " << error.what() << '\n';
      write_now(out, form == AnswerForm::kText ? "\n" : dump_json(OrderedJson{{"text", nullptr}, {"ids", OrderedJson::array()}, {"error", error.problem()}}) + "\n");
    }
  }
  if (terminal) std::cerr << '\n';
}

}  // namespace sluice::cli
