#include "sluice/cli/tokenize.h"

#include <unistd.h>
#include <iostream>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/base/threads.h"
#include "sluice/cli/hub.h"
#include "sluice/cli/json_lines.h"
#include "sluice/cli/parse.h"
#include "sluice/cli/tokenize_chat.h"

namespace sluice::cli {
namespace {

std::vector<std::int32_t> checked_ids(const Json& value, const text::Tokenizer& tokenizer, const std::string& where) {
  std::vector<std::int32_t> ids;
  if (!value.is_array()) throw Error(where + ": \"ids\" is not an array", "give a list of token ids");
  for (const Json& id : value) {
    const bool valid = id.is_number_integer() && id >= 0 && id < tokenizer.vocab_size();
    if (!valid) {
      throw Error(
          where + ": the id " + dump_json(id).substr(0, 60) + " is not an integer from 0 to " + std::to_string(tokenizer.vocab_size() - 1),
          "give ids of this tokenizer");
    }
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

}  // namespace

void tokenize(const text::Tokenizer& tokenizer, text::SpecialTokens add, std::istream& in, std::ostream& out, int num_threads) {
  for_each_row(in, out, "text", num_threads, [&](const Json& value, const std::string& where) -> Json {
    if (!value.is_string()) throw Error(where + ": \"text\" is not a string", "give a string");
    return {{"ids", tokenizer.encode(value.get_ref<const std::string&>(), add)}};
  });
}

void detokenize(const text::Tokenizer& tokenizer, std::istream& in, std::ostream& out, int num_threads) {
  for_each_row(in, out, "ids", num_threads, [&](const Json& value, const std::string& where) -> Json {
    return {{"text", tokenizer.decode(checked_ids(value, tokenizer, where))}};
  });
}

int run_tokenize(const Arguments& arguments, Log&) {
  CLI::App app("JSON lines from standard input through a tokenizer: {\"text\"} to {\"ids\"}, or back", "sluice tokenize");
  std::string path;
  int num_threads = isatty(STDIN_FILENO) != 0 ? 1 : num_processors();  // who types a line waits for its answer
  bool decode = false, no_special_tokens = false, chat = false, text_only = false;
  app.add_option("--tokenizer", path, "Folder or file of the tokenizer")->required();
  app.add_flag("--no-special-tokens", no_special_tokens, "Leave out what the tokenizer adds around a text (BOS, EOS)");
  app.add_flag("--decode", decode, "{\"ids\"} to {\"text\"}");
  const CLI::Option* threads = app.add_option("--threads", num_threads, "Lines that are worked on at once; the output keeps their order (default: all processors)");
  app.add_flag("--chat", chat, "{\"messages\", \"tools\", \"add_generation_prompt\"} to {\"text\", \"ids\", \"loss_mask\"} by the chat template");
  app.add_flag("--text-only", text_only, "With --chat: {\"text\"} alone, which needs no vocabulary");
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  if (text_only && !chat) throw Error("--text-only has no effect without --chat", "add --chat, or leave --text-only out");
  if (chat && (decode || no_special_tokens)) {
    throw Error(std::string(decode ? "--decode" : "--no-special-tokens") + " has no effect with --chat, whose special tokens the template writes",
                "leave it out");
  }
  if (chat) forbid(threads, "with --chat", "leave it out");
  if (num_threads < 1) throw Error("--threads " + std::to_string(num_threads) + " is less than 1", "give the number of threads, or leave it out");
  // Nothing has been read yet. Through C's streams, which give a byte at a time, reading would take a fifth of the time.
  std::ios::sync_with_stdio(false);
  const auto chat_template = chat ? open_chat_template(find_model(path)) : nullptr;
  const auto tokenizer = text_only ? nullptr : text::open_tokenizer(find_model(path));
  if (chat) tokenize_chats(*chat_template, tokenizer.get(), std::cin, std::cout);
  else if (decode) detokenize(*tokenizer, std::cin, std::cout, num_threads);
  else tokenize(*tokenizer, no_special_tokens ? text::SpecialTokens::kNone : text::SpecialTokens::kAdd, std::cin, std::cout, num_threads);
  return 0;
}

}  // namespace sluice::cli
