#include "sluice/cli/tokenize_chat.h"

#include <istream>
#include <ostream>

#include "sluice/base/error.h"
#include "sluice/text/encoded_chat.h"

namespace sluice::cli {
namespace {

OrderedJson answer(const text::ChatTemplate& chat, const text::Tokenizer* tokenizer, const text::Conversation& conversation) {
  text::jinja::Template::Rendered rendered;
  try {
    rendered = chat.render(conversation);
  } catch (const text::jinja::Refusal& refusal) {
    return {{"error", refusal.what()}};
  }
  OrderedJson row = {{"text", rendered.text}};
  if (tokenizer == nullptr) return row;
  const std::vector<std::int32_t> ids = text::encode_chat_text(*tokenizer, chat, rendered.text);
  row["ids"] = ids;
  try {
    row["loss_mask"] = text::token_mask(*tokenizer, rendered.text, ids, text::assistant_spans(chat, conversation, rendered));
  } catch (const Error& error) {
    row["loss_mask"] = nullptr;
    row["loss_mask_error"] = error.problem();
  }
  return row;
}

}  // namespace

void tokenize_chats(const text::ChatTemplate& chat, const text::Tokenizer* tokenizer, std::istream& in, std::ostream& out) {
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = "stdin:" + std::to_string(number);
    const text::Conversation conversation = text::read_conversation(parse_ordered_json(line, where), where);
    try {
      out << dump_json(answer(chat, tokenizer, conversation)) << '\n';
    } catch (const Error& error) {
      throw Error(where + ": " + error.problem(), error.remedy());
    }
    if (!out) throw Error("cannot write the answer to " + where, "check the disk or the program that reads the output");
  }
  out.flush();
}

std::unique_ptr<text::ChatTemplate> open_chat_template(const fs::path& path) {
  if (!fs::exists(path)) throw Error("there is no tokenizer at " + path.string(), "give a folder with a tokenizer and its chat template");
  auto chat = text::ChatTemplate::open(path);
  if (chat) return chat;
  throw Error(path.string() + " has no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json",
              "copy the template there as chat_template.jinja, or use the tokenizer of a model that was trained for chat");
}

}  // namespace sluice::cli
