#include "sluice/cli/generate.h"

#include <iostream>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/cli/hub.h"
#include "sluice/cli/model_flags.h"
#include "sluice/generate/generate.h"
#include "sluice/generate/logits.h"
#include "sluice/text/stream_decoder.h"

namespace sluice::cli {
namespace {

struct GenerateFlags {
  ModelFlags model;
  std::vector<std::string> prompts;
  std::string prompts_file, tokens, tokenizer;
  generate::GenerateOptions options;
  bool json = false, ignore_eos = false, chat = false;
  CLI::Option *top_k = nullptr, *top_p = nullptr;
};

void declare(CLI::App& app, GenerateFlags& flags) {
  flags.model.add_to(app);
  app.add_option("--prompt", flags.prompts, "Text to continue; may be given several times")->allow_extra_args(false);
  app.add_option("--prompts-file", flags.prompts_file, "Texts to continue, one a line; an empty line is an error");
  app.add_option("--tokens", flags.tokens, "JSON file [[ids], ...] to continue instead of texts; needs no tokenizer");
  app.add_option("--tokenizer", flags.tokenizer, "Folder or file of the tokenizer; default: the one in the model's folder");
  app.add_option("--max-tokens,--max-new-tokens", flags.options.max_tokens, "Most new tokens of a prompt")->capture_default_str()->check(whole_number(1));
  app.add_option("--temperature", flags.options.sampling.temperature,
                 "0: always the likeliest token; above: sample, the higher the more varied")
      ->capture_default_str();
  flags.top_k = app.add_option("--top-k", flags.options.sampling.top_k, "Sample among the k likeliest tokens; 0: all")->check(whole_number(0));
  flags.top_p =
      app.add_option("--top-p", flags.options.sampling.top_p, "Sample among the likeliest tokens that reach this probability; 1: all");
  app.add_option("--seed", flags.options.seed, "Of the sampling; equal seeds give equal texts")->capture_default_str()->check(whole_number(0));
  app.add_flag("--ignore-eos", flags.ignore_eos, "Go on past the end-of-text token, to --max-tokens");
  app.add_flag("--json", flags.json, "Print {\"text\", \"ids\"} a line, of the new tokens alone, in the order of the prompts");
  app.add_flag("--chat", flags.chat, "Not yet: apply the model's chat template to the prompt");
}

void check(const GenerateFlags& flags) {
  if (flags.chat) throw Error("--chat is not supported yet", "write the prompt as the model's chat template would, and leave --chat out");
  const int sources = (flags.prompts.empty() ? 0 : 1) + (flags.prompts_file.empty() ? 0 : 1) + (flags.tokens.empty() ? 0 : 1);
  if (sources != 1) {
    throw Error(sources == 0 ? "there is nothing to continue" : "prompts are given in more than one way",
                "give one of --prompt TEXT, --prompts-file FILE and --tokens FILE");
  }
  Violations violations;
  flags.options.sampling.check(violations);
  violations.raise("cannot generate");
  if (flags.options.sampling.temperature > 0) return;
  for (const CLI::Option* option : {flags.top_k, flags.top_p}) {
    forbid(option, "at temperature 0, where the likeliest token is always taken",
           "add --temperature, for example 0.8, or leave " + option->get_name() + " out");
  }
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> lines;
  LineReader reader(path);
  for (std::string line; reader.next(line);) {
    if (line.empty()) throw Error(reader.where() + ": the line is empty, and answers are to stand in the order of the lines", "write a prompt there or remove the line");
    lines.push_back(line);
  }
  if (lines.empty()) throw Error(path.string() + " holds no prompt", "write one prompt a line");
  return lines;
}

std::vector<std::vector<std::int32_t>> prompt_ids(const GenerateFlags& flags, const text::Tokenizer* tokenizer) {
  if (!flags.tokens.empty()) return generate::read_token_rows(flags.tokens);
  if (!tokenizer)
    throw Error("the folder of the model has no tokenizer, which a text prompt needs",
                "name one with --tokenizer, or give ids with --tokens FILE");
  std::vector<std::vector<std::int32_t>> ids;
  for (const std::string& prompt : flags.prompts.empty() ? lines_of(flags.prompts_file) : flags.prompts) {
    ids.push_back(tokenizer->encode(prompt, text::SpecialTokens::kAdd));
  }
  return ids;
}

// The text of one prompt's new tokens as they come: what the decoded whole has past the decoded prompt, special tokens left out.
class Continuation {
 public:
  Continuation(const text::Tokenizer& tokenizer, const std::vector<std::int32_t>& prompt)
      : decoder_(tokenizer, text::DecodeSpecial::kSkip) {
    for (const std::int32_t id : prompt) decoder_.push(id);
  }
  std::string push(std::int32_t id) { return decoder_.push(id); }
  std::string flush() { return decoder_.flush(); }

 private:
  text::StreamDecoder decoder_;
};

void print(const std::string& text) {
  std::cout << text << std::flush;
  if (!std::cout) throw Error("cannot write to standard output", "check the disk or the program that reads it");
}

void run_one(const generate::Runnable& runnable, const std::vector<std::int32_t>& prompt, const generate::GenerateOptions& options,
             const text::Tokenizer* tokenizer, const GenerateFlags& flags) {
  std::optional<Continuation> continuation;
  if (tokenizer) continuation.emplace(*tokenizer, prompt);
  std::string text;
  const auto take = [&](const std::string& piece) {
    text += piece;
    if (!flags.json) print(piece);
  };
  const auto ids = generate::generate(runnable, {prompt}, options, [&](std::size_t, std::int32_t id) {
    take(continuation ? continuation->push(id) : (text.empty() ? "" : " ") + std::to_string(id));
  })[0];
  if (continuation) take(continuation->flush());
  if (!flags.json) return print("\n");
  print(dump_json(OrderedJson{{"text", tokenizer ? OrderedJson(text) : OrderedJson(nullptr)}, {"ids", ids}}) + "\n");
}

}  // namespace

int run_generate(const Arguments& arguments, Log&) {
  CLI::App app("Continues prompts with a model: greedy, or sampled with --temperature.", "sluice generate");
  GenerateFlags flags;
  declare(app, flags);
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  check(flags);

  const generate::LoadedModel loaded = generate::open_model(flags.model.folder(), flags.model.scalar_type());
  const auto tokenizer =
      generate::open_model_tokenizer(loaded.folder, flags.tokenizer.empty() ? std::nullopt : std::optional<fs::path>(find_model(flags.tokenizer)));
  if (!flags.ignore_eos) flags.options.stop_ids = generate::stop_ids(loaded.folder, tokenizer.get());
  const auto prompts = prompt_ids(flags, tokenizer.get());
  // All are checked before the first is answered.
  for (std::size_t i = 0; i < prompts.size(); ++i)
    generate::require_runnable(loaded.runnable(), prompts[i], flags.options.max_tokens, "prompt " + std::to_string(i + 1));
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    flags.options.first_index = i;
    run_one(loaded.runnable(), prompts[i], flags.options, tokenizer.get(), flags);
  }
  return 0;
}

}  // namespace sluice::cli
