#include "sluice/cli/eval.h"

#include <chrono>
#include <cmath>
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <limits>
#include <sstream>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/base/nearest.h"
#include "sluice/cli/categories_flag.h"
#include "sluice/cli/data_settings.h"
#include "sluice/cli/hub.h"
#include "sluice/cli/model_flags.h"
#include "sluice/cli/ranks.h"
#include "sluice/config/fields.h"
#include "sluice/data/data_file.h"
#include "sluice/eval/answers.h"
#include "sluice/eval/evaluate.h"
#include "sluice/train/recipe.h"
#include "sluice/train/setting_names.h"

namespace sluice::cli {
namespace {

struct EvalFlags {
  ModelFlags model;
  CategoriesFlag categories;
  std::string data, format = "qa", chat_template = "chat", tokenizer;
  std::int64_t max_samples = 0, batch_size = 8, exact_match_samples = -1, seq_length = 0, max_target_length = 0;
  bool json = false;
  CLI::Option *template_option = nullptr, *seq_length_option = nullptr, *max_target_length_option = nullptr, *exact_match_option = nullptr;
};

void declare(CLI::App& app, EvalFlags& flags) {
  flags.model.add_to(app);
  app.add_option("--data,--data-file", flags.data, "File of rows, one JSON object a line")->required();
  app.add_option("--format", flags.format, "qa (question, answer, expert_label), token_ids (input_ids, labels), text, or of conversations: messages, alpaca, sharegpt ... custom")
      ->capture_default_str();
  flags.template_option = app.add_option("--template", flags.chat_template, "Conversations: chat (the tokenizer's own), alpaca, chatml, llama2, llama3 or custom (data.custom_template)")->capture_default_str();
  app.add_option("--tokenizer", flags.tokenizer, "Folder or file of the tokenizer; default: the one in the model's folder");
  app.add_option("--max-samples", flags.max_samples, "Only the file's first N rows; 0: all")->check(whole_number(0));
  app.add_option("--batch-size", flags.batch_size, "Rows that run at once")->capture_default_str()->check(whole_number(1));
  flags.exact_match_option =
      app.add_option("--exact-match-samples", flags.exact_match_samples, "Answer only the first N rows, for exact match and ROUGE-L; 0: none; default: all of qa, none of conversations")
          ->check(whole_number(0));
  flags.seq_length_option = app.add_option("--seq-length", flags.seq_length,
                                           "qa: most tokens of a prompt, default 64; text and conversations: of a row, default: the model's positions")
                                ->check(whole_number(1));
  flags.max_target_length_option =
      app.add_option("--max-target-length", flags.max_target_length, "Most tokens of an answer with its end token; default: 32 for qa, 128 for conversations")
          ->check(whole_number(1));
  flags.categories.add_to(app);
  app.add_flag("--json", flags.json, "Print one JSON object; what was not measured is null");
  app.footer("Further settings of a recipe's data section follow, as rows were trained on: data.train_on=last data.columns.prompt=question\n"
             "data.template=custom data.custom_template=FILE");
}

// What an evaluation has flags for, or reads as it stands.
void forbid_settings(const std::vector<config::Setting>& settings, const data::DataConfig& config, Violations& violations) {
  static const std::vector<std::pair<std::string, std::string>> kNotHere{{"data.path", "give the file with --data"},
                                                                         {"data.blend", "evaluate one file after the other, with --data"},
                                                                         {"data.max_samples", "use --max-samples"},
                                                                         {"data.packing", "leave it out: rows are evaluated one by one"},
                                                                         {"data.shuffle", "leave it out: the order changes nothing"},
                                                                         {"data.length_buckets", "leave it out: the order changes nothing"},
                                                                         {"data.validation_path", "give the file with --data"},
                                                                         {"data.validation_fraction", "give a file of held-out rows with --data"},
                                                                         {"data.validation_samples", "use --max-samples"}};
  const std::vector<std::string> of_conversations = config::keys(data::InstructConfig{}, "data");
  for (const config::Setting& setting : settings) {
    const auto found = std::ranges::find(kNotHere, setting.key, &std::pair<std::string, std::string>::first);
    if (found != kNotHere.end()) violations.add(setting.key + " has no place in an evaluation", found->second);
    if (!data::has_conversations(config.format) && std::ranges::find(of_conversations, setting.key) != of_conversations.end())
      violations.add(setting.key + " has no effect on rows that are no conversations", "leave it out, or give their --format");
  }
}

struct DataSection {
  data::DataConfig data;
  void fields(auto&& field) { field("data", data, ""); }
};

// Everything but the length of a row of text, which is the model's unless given.
data::DataConfig data_config(const EvalFlags& flags, std::vector<config::Setting> given) {
  config::resolve_aliases(given, train::aliases());
  train::split_lists(given);
  std::vector<config::Setting> settings{{"data.format", {{flags.format}}, "--format"}};
  if (flags.template_option->count() > 0) settings.push_back({"data.template", {{flags.chat_template}}, "--template"});
  if (flags.seq_length > 0) settings.push_back({"data.seq_length", {{std::to_string(flags.seq_length)}}, "--seq-length"});
  if (flags.max_target_length > 0) settings.push_back({"data.max_target_length", {{std::to_string(flags.max_target_length)}}, "--max-target-length"});
  settings.insert(settings.end(), given.begin(), given.end());
  Violations violations;
  DataSection section;
  config::apply(section, settings, violations);
  data::DataConfig& config = section.data;
  forbid_settings(given, config, violations);
  violations.raise("the rows to evaluate");
  if (!data::has_conversations(config.format)) forbid(flags.template_option, "on rows that are no conversations", "leave it out, or give their --format");
  if (config.format != data::Format::kQa && !data::has_conversations(config.format)) {
    for (const CLI::Option* option : {flags.max_target_length_option, flags.exact_match_option})
      forbid(option, "on rows without questions", "leave it out, or use --format qa or one of conversations");
  }
  if (config.format == data::Format::kTokenIds)
    forbid(flags.seq_length_option, "on rows of token ids, which are used whole", "leave it out");
  config.path = flags.data;
  config.shuffle = false;
  return config.with_defaults();
}

// A line every ten seconds, so that a long evaluation is seen to move.
class Progress {
 public:
  Progress(Log& log, std::int64_t rows) : log_(log), rows_(rows) {}
  void operator()(std::int64_t done) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::seconds(10)) return;
    last_ = now;
    log_.info("loss and routing: " + std::to_string(done) + " of " + std::to_string(rows_) + " rows");
  }

 private:
  Log& log_;
  std::int64_t rows_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// What was measured; the keys that every evaluation has are null where it was not.
OrderedJson with_all_keys(const monitor::Evaluation& evaluation) {
  const OrderedJson measured = monitor::to_json(evaluation);
  OrderedJson out;
  for (const char* key : {"lm_loss", "perplexity", "exact_match", "rouge_l", "turn_loss", "category_loss", "routing"}) out[key] = measured.value(key, OrderedJson(nullptr));
  if (!evaluation.routing) return out;
  OrderedJson routing;
  for (const char* key : {"accuracy", "mutual_information_nats", "kl", "expert_share", "label_expert"})
    routing[key] = measured["routing"].value(key, OrderedJson(nullptr));
  out["routing"] = routing;
  return out;
}

std::string percent(double share) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(1) << 100 * share << " %";
  return out.str();
}

void print_figures(const monitor::Evaluation& evaluation, const data::Categories& categories, std::ostream& out) {
  const auto line = [&](const char* name, const std::optional<double>& value) {
    if (value) out << std::left << std::setw(26) << name << *value << "\n";
  };
  line("loss", evaluation.lm_loss);
  line("perplexity", evaluation.perplexity);
  line("exact match", evaluation.exact_match);
  line("ROUGE-L", evaluation.rouge_l);
  for (std::size_t i = 0; i < evaluation.turn_loss.size(); ++i) line(("loss of answer " + std::to_string(i + 1)).c_str(), evaluation.turn_loss[i]);
  for (const auto& [name, loss] : evaluation.category_loss) line(("loss, " + name).c_str(), loss);
  if (!evaluation.routing) return;
  const monitor::RoutingFigures& routing = *evaluation.routing;
  line("routing accuracy", routing.accuracy);
  line("mutual information, nats", routing.mutual_information_nats);
  line("routing KL, nats", routing.kl);
  const auto table = [&](const char* title, const std::vector<std::vector<double>>& rows,
                         const std::function<std::string(std::size_t)>& name) {
    if (rows.empty()) return;
    out << title << "\n";
    for (std::size_t i = 0; i < rows.size(); ++i) {
      out << "  " << std::left << std::setw(22) << name(i) << std::right;
      for (const double share : rows[i]) out << std::setw(9) << percent(share);
      out << "\n";
    }
  };
  table("share of tokens by layer and expert", routing.expert_share, [](std::size_t i) { return "layer " + std::to_string(i); });
  table("share of tokens by label and expert", routing.label_expert, [&](std::size_t i) { return categories.names().at(i); });
}

// The rows, and what they are read and judged by.
struct Rows {
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::optional<eval::RoutingFile> supervision;
  data::Categories categories;
  std::unique_ptr<data::Dataset> dataset;
};

Rows open_rows(const EvalFlags& flags, const data::DataConfig& config, const checkpoint::ModelFolder& model) {
  const std::optional<fs::path> given = flags.tokenizer.empty() ? std::nullopt : std::optional<fs::path>(find_model(flags.tokenizer));
  Rows rows{generate::open_model_tokenizer(model, given), eval::read_routing_file(model.path), {}, nullptr};
  if (rows.supervision) forbid(flags.categories.option(), "of a model whose " + std::string(eval::kRoutingFileName) + " names them", "leave it out");
  rows.categories = rows.supervision ? data::Categories(rows.supervision->categories) : flags.categories.value();
  rows.dataset = data::open_dataset(flags.data, config, {rows.tokenizer.get(), model.config->vocab_size(), data::LabelPolicy::kOptional, given.value_or(model.path), rows.categories}, flags.max_samples);
  return rows;
}

eval::EvaluateOptions options_of(const EvalFlags& flags, const data::DataConfig& config, const Rows& rows, Log& log) {
  eval::EvaluateOptions options;
  options.batch_size = flags.batch_size;
  options.categories = rows.categories;
  options.supervision = rows.supervision ? &*rows.supervision : nullptr;
  options.tokenizer = rows.tokenizer.get();
  options.max_target_length = config.max_target_length;
  if (config.format == data::Format::kQa)
    options.exact_match_rows = flags.exact_match_samples < 0 ? rows.dataset->size() : flags.exact_match_samples;
  if (data::has_conversations(config.format)) {
    options.answered_rows = std::max<std::int64_t>(0, flags.exact_match_samples);
    if (config.max_target_length == 0) options.max_target_length = eval::AnswerOptions{}.max_tokens;
  }
  options.on_progress = Progress(log, rows.dataset->size());
  return options;
}

int evaluate(const Arguments& arguments, dist::Mesh& mesh, Log& log) {
  CLI::App app("Loss, perplexity, exact match and routing of a model on a file of rows.", "sluice eval");
  EvalFlags flags;
  declare(app, flags);
  Arguments rest = arguments;
  std::vector<config::Setting> settings;
  const auto read = [&] {
    settings = take_settings(rest, {"--json"});
    return parse(app, rest);
  };
  if (together(mesh, read) == Parsed::kHelpShown) return 0;
  data::DataConfig config = together(mesh, [&] {
    const data::DataConfig given = data_config(flags, settings);
    const data::DataFile file(flags.data);  // says what is wrong with it before the model is read
    return given;
  });
  const generate::LoadedModel loaded = flags.model.load(mesh);
  if ((config.format == data::Format::kText || data::has_conversations(config.format)) && config.seq_length == 0) config.seq_length = loaded.folder.config->max_positions();
  const Rows rows = together(mesh, [&] { return open_rows(flags, config, loaded.folder); });
  log.info(data::describe(rows.dataset->counts(), rows.categories));
  if (!rows.supervision && rows.dataset->counts().unlabelled < rows.dataset->size()) {
    log.note(loaded.folder.path.string() + " has no " + eval::kRoutingFileName +
             ": routing accuracy and KL, which need the labels' preferences, are not measured");
  }
  monitor::Evaluation evaluation;
  alike(mesh, [&] { evaluation = eval::evaluate(loaded.runnable(), *rows.dataset, options_of(flags, config, rows, log)); });
  if (flags.json)
    std::cout << dump_json(with_all_keys(evaluation)) << std::endl;
  else
    print_figures(evaluation, rows.categories, std::cout);
  return 0;
}

}  // namespace

int run_eval(const Arguments& arguments, Log& log) {
  return on_ranks(log, [&](dist::Mesh& mesh) { return evaluate(arguments, mesh, log); });
}

}  // namespace sluice::cli
