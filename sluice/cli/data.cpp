#include "sluice/cli/data.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <span>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/base/output_file.h"
#include "sluice/cli/categories_flag.h"
#include "sluice/cli/data_preview.h"
#include "sluice/cli/data_train.h"
#include "sluice/cli/hub.h"
#include "sluice/cli/parse.h"
#include "sluice/data/annotate.h"
#include "sluice/data/balance.h"
#include "sluice/data/split.h"
#include "sluice/data/stats.h"
#include "sluice/text/tokenizer.h"

namespace sluice::cli {
namespace {

// "-" is standard input or output, as it is everywhere.
std::function<std::string(std::string)> dash_is(const std::string& stream) {
  return [stream](const std::string& given) { return given == "-" ? stream : given; };
}

void add_input(CLI::App& app, fs::path& input, const std::string& help) {
  app.add_option("--input", input, help)->required()->transform(dash_is("/dev/stdin"));
}

void add_files(CLI::App& app, fs::path& input, fs::path& output) {
  add_input(app, input, "JSONL file, one object with a \"question\" a line");
  app.add_option("--output", output, "File to write; appears only when it is whole")->required()->transform(dash_is("/dev/stdout"));
}

std::string counts_line(std::span<const std::int64_t> counts, const data::Categories& categories) {
  std::string line;
  for (std::size_t k = 0; k < counts.size(); ++k) line += (k ? ", " : "") + categories.names()[k] + " " + std::to_string(counts[k]);
  return line;
}

int run_annotate(const Arguments& arguments, Log& log) {
  CLI::App app("Gives each question its category (expert_label); rows, their order and their other members stay as they are",
               "sluice data annotate");
  data::AnnotateRequest request;
  request.model_file = shipped_classifier();
  std::string method = "model";
  bool keep_labels = false;
  add_files(app, request.input, request.output);
  app.add_option("--method", method, "model: the trained classifier; rules: word patterns, with the reason in expert_label_reason")
      ->capture_default_str();
  CLI::Option* model = app.add_option("--model", request.model_file, "Classifier made by train-classifier; default: the one that ships");
  app.add_flag("--keep-labels", keep_labels, "Label only rows that have no label yet");
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  if (method != "model" && method != "rules") throw Error("--method " + method + " is not a method", "use model or rules");
  if (method == "rules") forbid(model, "with --method rules", "leave it out");
  request.method = method == "rules" ? data::AnnotateMethod::kRules : data::AnnotateMethod::kModel;
  request.existing = keep_labels ? data::ExistingLabels::kKeep : data::ExistingLabels::kReplace;
  const auto start = std::chrono::steady_clock::now();
  const data::AnnotateSummary summary = data::annotate(request);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  log.info(std::to_string(summary.num_rows) + " questions labelled into " + request.output.string() + " at " +
           std::to_string(static_cast<std::int64_t>(static_cast<double>(summary.num_rows) / std::max(seconds, 1e-6))) + " a second");
  log.info("labels: " + counts_line(summary.labels, {}));
  if (keep_labels) log.info(std::to_string(summary.num_kept) + " rows kept the label they had");
  return 0;
}

int run_balance(const Arguments& arguments, Log& log) {
  CLI::App app("Writes a random sample with a chosen number of rows of each category, in random order", "sluice data balance");
  data::BalanceRequest request;
  std::string counts;
  add_files(app, request.input, request.output);
  app.add_option("--counts", counts,
                 "Rows of each category, such as factual_lookup=2000,multi_hop_reasoning=all; categories not named: none")
      ->required();
  app.add_option("--seed", request.seed, "Chooses the sample and its order")->capture_default_str()->check(whole_number(0));
  CategoriesFlag categories;
  categories.add_to(app);
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  require_other_file(request.input, request.output);
  request.categories = categories.value();
  request.wanted = data::parse_category_counts(counts, request.categories);
  const data::BalanceSummary summary = data::balance(request);
  for (std::size_t k = 0; k < request.wanted.size(); ++k) {
    if (request.wanted[k] != data::kAllRows && summary.written[k] < request.wanted[k]) {
      log.note("only " + std::to_string(summary.available[k]) + " rows are " + request.categories.names()[k] + ", of " +
               std::to_string(request.wanted[k]) + " asked for; all were taken");
    }
    if (request.wanted[k] == 0 && summary.available[k] > 0) {
      log.note("all " + std::to_string(summary.available[k]) + " rows of " + request.categories.names()[k] +
               " were left out: --counts has none of them");
    }
  }
  log.info("rows written into " + request.output.string() + ": " + counts_line(summary.written, request.categories));
  return 0;
}

int run_split(const Arguments& arguments, Log& log) {
  CLI::App app("Splits rows into training and validation by a hash of their question, alike for each label", "sluice data split");
  data::SplitRequest request;
  std::vector<fs::path> outputs;
  std::int64_t count = 0;
  add_input(app, request.input, "JSONL file, one object a line");
  app.add_option("--output", outputs,
                 "A folder, for train.jsonl and validation.jsonl in it; or twice: the training and the validation file")
      ->required();
  CLI::Option* fraction =
      app.add_option("--fraction", request.validation_fraction, "Share of the rows for validation")->capture_default_str();
  CLI::Option* rows = app.add_option("--count", count, "Rows for validation, instead of a share")->check(whole_number(1));
  app.add_option("--seed", request.seed, "Chooses the rows")->capture_default_str()->check(whole_number(0));
  CategoriesFlag categories;
  categories.add_to(app);
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  request.categories = categories.value();
  if (rows->count() > 0) {
    forbid(fraction, "with --count", "give one of the two");
    request.validation_count = count;
  }
  if (outputs.size() > 2) throw Error("--output is given " + std::to_string(outputs.size()) + " times", "give one folder or two files");
  if (outputs.size() == 1) {
    if (fs::is_regular_file(outputs[0])) {
      throw Error("--output " + outputs[0].string() + " is a file",
                  "name a folder, or give --output twice: the training and the validation file");
    }
    std::error_code failure;
    fs::create_directory(outputs[0], failure);
    if (failure) throw Error("cannot make the folder " + outputs[0].string() + ": " + failure.message(), "make the folder it is to lie in");
    outputs = {outputs[0] / "train.jsonl", outputs[0] / "validation.jsonl"};
  }
  for (const fs::path& output : outputs) require_other_file(request.input, output);
  request.train_output = outputs[0];
  request.validation_output = outputs[1];
  const data::SplitSummary summary = data::split(request);
  log.info(std::to_string(summary.num_train) + " rows into " + outputs[0].string() + ", " + std::to_string(summary.num_validation) +
           " into " + outputs[1].string());
  return 0;
}

int run_stats(const Arguments& arguments, Log&) {
  CLI::App app("Counts labels and lengths of questions and answers", "sluice data stats");
  fs::path input;
  std::string output, tokenizer;
  bool json = false, duplicates = false;
  add_input(app, input, "JSONL file, one object with a \"question\" a line");
  app.add_option("--output", output, "File to write; default: standard output")->transform(dash_is("/dev/stdout"));
  app.add_option("--tokenizer", tokenizer, "Folder or file of a tokenizer, for lengths in tokens; default: words");
  app.add_flag("--duplicates", duplicates, "Count questions asked before (needs up to 16 bytes of memory a row)");
  app.add_flag("--json", json, "Print one JSON object");
  CategoriesFlag categories;
  categories.add_to(app);
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  if (!output.empty()) {
    require_other_file(input, output);
    require_writable(output);
  }
  const auto opened = tokenizer.empty() ? nullptr : text::open_tokenizer(find_model(tokenizer));
  const data::DataStats stats = data::describe(input, opened.get(), duplicates ? data::CountDuplicates::kYes : data::CountDuplicates::kNo, categories.value());
  const std::string text = json ? dump_json(data::stats_json(stats)) + "\n" : data::format_stats(stats);
  if (output.empty()) std::cout << text;
  else write_file_atomic(output, text);
  return 0;
}

const std::vector<Command>& subcommands() {
  static const std::vector<Command> all{
      {"annotate", "label questions with their category", run_annotate},
      {"balance", "sample a number of rows of each category", run_balance},
      {"split", "training and validation parts", run_split},
      {"stats", "labels and lengths", run_stats},
      {"preview", "samples as they are trained on, and what is wrong with them", run_preview},
      {"train-classifier", "train the model that annotate uses", run_train_classifier},
      {"evaluate-classifier", "its accuracy on labelled questions, by source", run_evaluate_classifier},
      {"train-tokenizer", "train a byte-level BPE tokenizer", run_train_tokenizer},
  };
  return all;
}

}  // namespace

int run_data(const Arguments& arguments, Log& log) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h") {
    std::cout << "usage: sluice data WHAT [flags]; sluice data WHAT --help\n\n";
    for (const Command& command : subcommands())
      std::cout << "  " << command.name << std::string(22 - command.name.size(), ' ') << command.summary << "\n";
    return 0;
  }
  std::string name = arguments[0];
  std::ranges::replace(name, '_', '-');
  std::vector<std::string> names;
  for (const Command& command : subcommands()) {
    if (command.name == name) return command.run({arguments.begin() + 1, arguments.end()}, log);
    names.push_back(command.name);
  }
  throw Error("there is no `sluice data " + arguments[0] + "`",
              did_you_mean(name, names, "'") + "`sluice data --help` lists all");
}

}  // namespace sluice::cli
