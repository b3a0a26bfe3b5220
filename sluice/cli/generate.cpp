#include "sluice/cli/generate.h"

#include <cstdio>
#include <iostream>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/cli/chat.h"
#include "sluice/cli/hub.h"
#include "sluice/cli/model_flags.h"
#include "sluice/cli/ranks.h"
#include "sluice/cli/standard_streams.h"
#include "sluice/config/value.h"
#include "sluice/generate/answer.h"
#include "sluice/generate/logits.h"
#include "sluice/text/utf8.h"

namespace sluice::cli {
namespace {

struct GenerateFlags {
  ModelFlags model;
  std::vector<std::string> prompts, stop_strings;
  std::string prompts_file, tokens, tokenizer, system;
  generate::GenerateOptions options;
  std::string draft;
  generate::DraftCounts draft_counts;
  bool json = false, ignore_eos = false, chat = false;
  CLI::Option *top_k = nullptr, *top_p = nullptr, *system_option = nullptr;
  AnswerForm form() const { return json ? AnswerForm::kJson : AnswerForm::kText; }
};

void declare(CLI::App& app, GenerateFlags& flags) {
  flags.model.add_to(app);
  app.add_option("--prompt", flags.prompts, "Text to continue; may be given several times")->allow_extra_args(false);
  app.add_option("--prompts-file", flags.prompts_file, "Texts to continue, one a line; an empty line is an error");
  app.add_option("--tokens", flags.tokens, "JSON file [[ids], ...] to continue instead of texts; needs no tokenizer");
  app.add_option("--tokenizer", flags.tokenizer, "Folder or file of the tokenizer; default: the one in the model's folder");
  app.add_option("--max-tokens,--max-new-tokens", flags.options.max_tokens, "Most new tokens of a prompt")
      ->capture_default_str()
      ->check(whole_number(1));
  app.add_option("--temperature", flags.options.sampling.temperature,
                 "0: always the likeliest token; above: sample, the higher the more varied")
      ->capture_default_str();
  flags.top_k =
      app.add_option("--top-k", flags.options.sampling.top_k, "Sample among the k likeliest tokens; 0: all")->check(whole_number(0));
  flags.top_p =
      app.add_option("--top-p", flags.options.sampling.top_p, "Sample among the likeliest tokens that reach this probability; 1: all");
  app.add_option("--seed", flags.options.seed, "Of the sampling; equal seeds give equal texts")
      ->capture_default_str()
      ->check(whole_number(0));
  app.add_option("--repetition-penalty", flags.options.sampling.repetition_penalty,
                 "Above 1: tokens that prompt or answer have already become less likely")
      ->capture_default_str();
  app.add_option("--stop", flags.stop_strings, "Text that ends an answer, and is not part of it; may be given several times")
      ->allow_extra_args(false);
  app.add_option("--draft", flags.draft, "mtp: the model's own multi-token prediction guesses a token ahead, for speed; default: none");
  app.add_flag("--ignore-eos", flags.ignore_eos, "Go on past the end-of-text token, to --max-tokens");
  app.add_flag("--json", flags.json, "Print {\"text\", \"ids\"} a line, of the new tokens alone, in the order of the prompts");
  app.add_flag("--chat", flags.chat,
               "A conversation by the model's chat template: each line of standard input is answered, or each --prompt by itself");
  flags.system_option = app.add_option("--system", flags.system, "What the model is told before a conversation (with --chat)");
}

void check(const GenerateFlags& flags) {
  const int sources = (flags.prompts.empty() ? 0 : 1) + (flags.prompts_file.empty() ? 0 : 1) + (flags.tokens.empty() ? 0 : 1);
  if (sources > 1 || (sources == 0 && !flags.chat)) {
    throw Error(sources == 0 ? "there is nothing to continue" : "prompts are given in more than one way",
                "give one of --prompt TEXT, --prompts-file FILE and --tokens FILE");
  }
  if (flags.chat && !flags.tokens.empty()) throw Error("--tokens has no effect with --chat, which needs text", "give --prompt TEXT");
  if (!flags.chat) forbid(flags.system_option, "without --chat", "add --chat, or leave it out");
  for (const std::string& stop : flags.stop_strings) {
    if (stop.empty()) throw Error("--stop is given an empty text, which would end every answer at once", "give the text to stop at");
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
    if (line.empty())
      throw Error(reader.where() + ": the line is empty, and answers are to stand in the order of the lines",
                  "write a prompt there or remove the line");
    text::require_utf8(line, reader.where() + ": the line");
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

// Ids alone, for a model without a tokenizer.
void continue_ids(const generate::Runnable& runnable, const std::vector<std::int32_t>& prompt, const GenerateFlags& flags) {
  bool first = true;
  const auto ids = generate::generate(runnable, {prompt}, flags.options, [&](std::size_t, std::int32_t id) {
    if (!flags.json) write_now(std::cout, (std::exchange(first, false) ? "" : " ") + std::to_string(id));
    return generate::Next::kGoOn;
  })[0];
  write_now(std::cout, flags.json ? dump_json(OrderedJson{{"text", nullptr}, {"ids", ids}}) + "\n" : "\n");
}

void continue_text(const generate::Runnable& runnable, const text::Tokenizer& tokenizer, const std::vector<std::int32_t>& prompt,
                   const GenerateFlags& flags) {
  const generate::Answer answer =
      generate::answer(runnable, tokenizer, prompt, flags.options, flags.stop_strings, [&](const std::string& piece) {
        if (!flags.json) write_now(std::cout, piece);
      });
  write_now(std::cout, flags.json ? dump_json(OrderedJson{{"text", answer.text}, {"ids", answer.ids}}) + "\n" : "\n");
}

// What texts need of the model's folder, or of --tokenizer.
struct Texts {
  std::unique_ptr<text::Tokenizer> tokenizer;         // null where there is none
  std::unique_ptr<text::ChatTemplate> chat_template;  // with --chat alone
  std::vector<std::vector<std::int32_t>> prompts;     // without --chat
  std::vector<std::string> messages;                  // with it; none: standard input has them
};

void open_chat(GenerateFlags& flags, const fs::path& template_folder, Texts& texts) {
  texts.chat_template = text::ChatTemplate::open(template_folder);
  if (!texts.tokenizer || !texts.chat_template) {
    throw Error(
        "--chat needs a " + std::string(texts.tokenizer ? "chat template" : "tokenizer") + ", which " + template_folder.string() + " lacks",
        "name a folder that has tokenizer and chat template with --tokenizer, or leave --chat out");
  }
  if (const auto end = generate::turn_end_id(*texts.chat_template, *texts.tokenizer); end && !flags.ignore_eos) flags.options.stop_ids.push_back(*end);
  texts.messages = flags.prompts_file.empty() ? flags.prompts : lines_of(flags.prompts_file);
}

Texts open_texts(GenerateFlags& flags, const generate::LoadedModel& loaded) {
  const std::optional<fs::path> given = flags.tokenizer.empty() ? std::nullopt : std::optional<fs::path>(find_model(flags.tokenizer));
  Texts texts;
  texts.tokenizer = generate::open_model_tokenizer(loaded.folder, given);
  if (!flags.ignore_eos) flags.options.stop_ids = generate::stop_ids(loaded.folder, texts.tokenizer.get());
  if (flags.chat) {
    open_chat(flags, given.value_or(loaded.folder.path), texts);
    return texts;
  }
  if (!texts.tokenizer && !flags.stop_strings.empty())
    throw Error("--stop needs a tokenizer, which the folder of the model lacks", "name one with --tokenizer, or leave --stop out");
  texts.prompts = prompt_ids(flags, texts.tokenizer.get());
  // All are checked before the first is answered.
  for (std::size_t i = 0; i < texts.prompts.size(); ++i)
    generate::require_runnable(loaded.runnable(), texts.prompts[i], flags.options.max_tokens, "prompt " + std::to_string(i + 1));
  return texts;
}

void continue_all(const generate::Runnable& runnable, const Texts& texts, GenerateFlags& flags) {
  for (std::size_t i = 0; i < texts.prompts.size(); ++i) {
    flags.options.first_index = i;
    if (texts.tokenizer)
      continue_text(runnable, *texts.tokenizer, texts.prompts[i], flags);
    else
      continue_ids(runnable, texts.prompts[i], flags);
  }
}

void run_chat(const generate::Runnable& runnable, const Texts& texts, GenerateFlags& flags) {
  const std::optional<std::string> system = flags.system_option->count() > 0 ? std::optional(flags.system) : std::nullopt;
  const auto begin = [&] { return generate::Chat(runnable, *texts.tokenizer, *texts.chat_template, flags.options, flags.stop_strings, system); };
  if (texts.messages.empty()) {
    generate::Chat chat = begin();
    return converse(chat, flags.form(), std::cin, std::cout);
  }
  for (std::size_t i = 0; i < texts.messages.size(); ++i) {
    flags.options.first_index = i;
    generate::Chat chat = begin();
    answer_message(chat, texts.messages[i], flags.form(), std::cout);
  }
}

generate::Draft draft_of(const std::string& text) {
  generate::Draft draft{};
  if (const std::string expected = config::parse_scalar(text, draft); !expected.empty()) throw Error("--draft '" + text + "' is not " + expected, "give mtp, or leave it out");
  return draft;
}

std::string summary(const generate::DraftCounts& counts) {
  char share[16];
  std::snprintf(share, sizeof share, "%.0f %%", 100.0 * static_cast<double>(counts.taken) / static_cast<double>(counts.guessed));
  return "draft: " + std::to_string(counts.taken) + " of " + std::to_string(counts.guessed) + " guessed tokens taken (" + share + ")";
}

// What one process does and several cannot.
void check(const GenerateFlags& flags, std::int64_t processes) {
  if (processes == 1) return;
  if (flags.chat && flags.prompts.empty() && flags.prompts_file.empty()) {
    throw Error("--chat reads a conversation from standard input, which " + std::to_string(processes) + " processes do not share", "give --prompt TEXT or --prompts-file FILE, or run one process");
  }
  if (flags.options.draft != generate::Draft::kNone && flags.model.layout.pipeline_model_parallel_size > 1) {
    throw Error("--draft guesses with the last layers and the embedding at once, and --pipeline-model-parallel-size " + std::to_string(flags.model.layout.pipeline_model_parallel_size) + " parts them",
                "leave one of the two out");
  }
}

Parsed read_flags(CLI::App& app, const Arguments& arguments, GenerateFlags& flags, std::int64_t processes) {
  if (parse(app, arguments) == Parsed::kHelpShown) return Parsed::kHelpShown;
  check(flags);
  if (!flags.draft.empty()) flags.options.draft = draft_of(flags.draft);
  check(flags, processes);
  return Parsed::kRun;
}

int generate_texts(const Arguments& arguments, dist::Mesh& mesh, Log& log) {
  CLI::App app("Continues prompts with a model: greedy, or sampled with --temperature.", "sluice generate");
  GenerateFlags flags;
  declare(app, flags);
  if (together(mesh, [&] { return read_flags(app, arguments, flags, mesh.world->size()); }) == Parsed::kHelpShown) return 0;
  flags.options.draft_counts = &flags.draft_counts;
  const generate::LoadedModel loaded = flags.model.load(mesh);
  const Texts texts = together(mesh, [&] { return open_texts(flags, loaded); });
  alike(mesh, [&] {
    if (flags.chat) run_chat(loaded.runnable(), texts, flags);
    else continue_all(loaded.runnable(), texts, flags);
  });
  if (flags.draft_counts.guessed > 0) log.info(summary(flags.draft_counts));
  return 0;
}

}  // namespace

int run_generate(const Arguments& arguments, Log& log) {
  return on_ranks(log, [&](dist::Mesh& mesh) { return generate_texts(arguments, mesh, log); });
}

}  // namespace sluice::cli
