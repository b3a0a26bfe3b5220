#include "sluice/cli/tokenize.h"

#include <iostream>
#include <functional>
#include <istream>
#include <ostream>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/cli/hub.h"
#include "sluice/cli/parse.h"

namespace sluice::cli {
namespace {

// Writes `answer` of each line's object; `key` is what the object must have.
void for_each_row(std::istream& in, std::ostream& out, const char* key,
                  const std::function<Json(const Json& value, const std::string& where)>& answer) {
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = "stdin:" + std::to_string(number);
    const Json row = parse_json(line, where);
    if (!row.is_object() || !row.contains(key)) {
      throw Error(where + ": the line is not an object with \"" + key + "\"", std::string("give one {\"") + key + "\": ...} a line");
    }
    out << dump_json(answer(row[key], where)) << '\n';
    if (!out) throw Error("cannot write the answer to " + where, "check the disk or the program that reads the output");
  }
  out.flush();
}

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

void tokenize(const text::Tokenizer& tokenizer, text::SpecialTokens add, std::istream& in, std::ostream& out) {
  for_each_row(in, out, "text", [&](const Json& value, const std::string& where) -> Json {
    if (!value.is_string()) throw Error(where + ": \"text\" is not a string", "give a string");
    return {{"ids", tokenizer.encode(value.get_ref<const std::string&>(), add)}};
  });
}

void detokenize(const text::Tokenizer& tokenizer, std::istream& in, std::ostream& out) {
  for_each_row(in, out, "ids", [&](const Json& value, const std::string& where) -> Json {
    return {{"text", tokenizer.decode(checked_ids(value, tokenizer, where))}};
  });
}

int run_tokenize(const Arguments& arguments, Log&) {
  CLI::App app("JSON lines from standard input through a tokenizer: {\"text\"} to {\"ids\"}, or back", "sluice tokenize");
  std::string path;
  bool decode = false, no_special_tokens = false, chat = false, text_only = false;
  app.add_option("--tokenizer", path, "Folder or file of the tokenizer")->required();
  app.add_flag("--no-special-tokens", no_special_tokens, "Leave out what the tokenizer adds around a text (BOS, EOS)");
  app.add_flag("--decode", decode, "{\"ids\"} to {\"text\"}");
  app.add_flag("--chat", chat, "Not yet: render {\"messages\"} by the chat template");
  app.add_flag("--text-only", text_only, "Not yet: with --chat, the rendered text alone");
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  if (chat || text_only) throw Error("chat templates are not supported yet", "render the conversation to text first, and leave --chat out");
  const auto tokenizer = text::open_tokenizer(find_model(path));
  if (decode) detokenize(*tokenizer, std::cin, std::cout);
  else tokenize(*tokenizer, no_special_tokens ? text::SpecialTokens::kNone : text::SpecialTokens::kAdd, std::cin, std::cout);
  return 0;
}

}  // namespace sluice::cli
