#include "sluice/cli/data_preview.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "sluice/base/threads.h"
#include "sluice/cli/data_settings.h"
#include "sluice/cli/hub.h"
#include "sluice/cli/parse.h"
#include "sluice/cli/sample_text.h"
#include "sluice/cli/standard_streams.h"
#include "sluice/config/fields.h"
#include "sluice/data/dataset.h"
#include "sluice/data/held_out.h"
#include "sluice/data/instruct/blend.h"
#include "sluice/data/instruct/packing.h"
#include "sluice/data/instruct/tokenise.h"
#include "sluice/monitor/terminal.h"
#include "sluice/train/recipe.h"
#include "sluice/train/setting_names.h"

namespace sluice::cli {
namespace {

constexpr std::int64_t kNoLimit = std::int64_t{1} << 30;  // tokens of a conversation, where no seq_length is given
constexpr int kMostFaultsShown = 10;

// The part of a recipe that says what is trained on.
struct PreviewRecipe {
  train::ModelSection model;
  data::DataConfig data;
  struct Supervision {
    std::vector<std::string> categories = data::Categories().names();
    void fields(auto&& field) { field("categories", categories, ""); }
  } routing_supervision;
  void fields(auto&& field) {
    field("model", model, "");
    field("data", data, "");
    field("routing_supervision", routing_supervision, "");
  }
};

struct PreviewFlags {
  std::string recipe, input, tokenizer, format, chat_template, packing;
  std::vector<config::Setting> overrides;
  std::int64_t seq_length = 0, samples = 3;
  bool json = false;
};

void declare(CLI::App& app, PreviewFlags& flags) {
  app.add_option("--config", flags.recipe, "Recipe whose data and tokenizer to use; also the name of one that ships");
  app.add_option("--input", flags.input, "File of conversations or rows, instead of data.path");
  app.add_option("--tokenizer", flags.tokenizer, "Folder or file of the tokenizer, instead of model.tokenizer");
  app.add_option("--format", flags.format, "data.format: messages, alpaca, sharegpt ...");
  app.add_option("--template", flags.chat_template, "data.template: chat, alpaca, chatml, llama2, llama3 or custom");
  app.add_option("--seq-length", flags.seq_length, "data.seq_length")->check(whole_number(2));
  app.add_option("--packing", flags.packing, "data.packing: none, concat or best_fit");
  app.add_option("--samples", flags.samples, "Samples to print")->capture_default_str()->check(whole_number(0));
  app.add_flag("--json", flags.json, "Print one JSON object a sample, and {\"summary\"} last");
  app.footer("Further settings follow as in a recipe: data.train_on=last data.columns.prompt=question");
}

// The recipe's settings, then the flags', of the sections that matter here.
PreviewRecipe recipe_of(const PreviewFlags& flags, Log& log) {
  std::vector<config::Setting> settings;
  if (!flags.recipe.empty()) settings = config::load_recipe(config::find_recipe(flags.recipe, recipe_folders()), recipe_folders());
  if (!flags.input.empty()) std::erase_if(settings, [](const config::Setting& setting) { return setting.key == "data.blend"; });
  add_setting(settings, "data.path", flags.input);
  add_setting(settings, "model.tokenizer", flags.tokenizer);
  add_setting(settings, "data.format", flags.format);
  add_setting(settings, "data.template", flags.chat_template);
  add_setting(settings, "data.packing", flags.packing);
  if (flags.seq_length > 0) add_setting(settings, "data.seq_length", std::to_string(flags.seq_length));
  settings.insert(settings.end(), flags.overrides.begin(), flags.overrides.end());
  config::resolve_aliases(settings, train::aliases());
  train::split_lists(settings);
  std::erase_if(settings, [](const config::Setting& setting) {
    return setting.where != "command line" && !setting.key.starts_with("data.") && setting.key != "model.load" &&
           setting.key != "model.tokenizer" && setting.key != "routing_supervision.categories";
  });
  Violations violations;
  std::vector<std::string> notes;
  train::find_recipe_paths(settings, find_model, violations, notes);
  PreviewRecipe recipe;
  config::apply(recipe, settings, violations);
  recipe.data = recipe.data.with_defaults();
  if (data::has_conversations(recipe.data.format) && recipe.data.seq_length == 0) recipe.data.seq_length = kNoLimit;
  recipe.data.check(violations);
  if (recipe.data.path.empty() && recipe.data.blend.empty())
    violations.add("no file is given", "sluice data preview --input FILE --tokenizer DIR, or --config RECIPE");
  if (recipe.model.tokenizer.empty() && recipe.model.load.empty())
    violations.add("no tokenizer is given", "give its folder: --tokenizer DIR");
  violations.raise("what to preview");
  for (const std::string& note : notes) log.note(note);
  return recipe;
}

const char* name_of(data::Fate fate) {
  switch (fate) {
    case data::Fate::kKept:
      return "kept";
    case data::Fate::kTooLong:
      return "left out: longer than data.seq_length";
    case data::Fate::kNothingLeft:
      return "left out: nothing to train on is left within data.seq_length";
    case data::Fate::kWeightless:
      return "left out: its weight is 0";
  }
  return "";
}

// Prints samples and adds them up.
class Preview {
 public:
  Preview(const PreviewFlags& flags, const data::DataConfig& config, const text::Tokenizer& tokenizer)
      : flags_(flags), config_(config), tokenizer_(tokenizer), colour_(monitor::detect_terminal(STDOUT_FILENO).color) {}

  void add(const data::TokenisedRow& row) {
    const bool kept = !row.error && row.made.fate == data::Fate::kKept;
    const char* const unused = kept ? why_unused(row.row_number) : nullptr;
    if (kept && !unused) count(row.made.sample);
    const std::optional<Error>& fault = row.error ? row.error : row.made.fault;
    if (fault) note(*fault);
    if (shown_++ >= flags_.samples && !(fault && num_faults_ <= kMostFaultsShown)) return;
    std::vector<std::string> roles;
    for (const OrderedJson& message : row.row.conversation.messages) roles.push_back(message["role"].get<std::string>());
    print(row.made.sample, row.row.where, roles, row.error ? "cannot be rendered" : unused ? unused : name_of(row.made.fate), fault);
  }

  // From now on rows are another file's.
  void begin_file() { of_file_ = 0; }

  // A row that is no conversation.
  void add(const data::Sample& sample, const std::string& where) {
    count(sample);
    if (shown_++ < flags_.samples) print(sample, where, {}, name_of(data::Fate::kKept), std::nullopt);
  }

  // Exit status 2 by an Error when a sample has a fault, and when no conversation of `files` is left.
  void finish(const data::ConversationCounts& counts, const std::string& files) const {
    if (flags_.json)
      write_now(std::cout, dump_json(OrderedJson{{"summary", summary(counts)}}) + "\n");
    else
      write_now(std::cout, summary_text(counts));
    if (!first_fault_ && lengths_.empty()) throw data::nothing_is_kept(files, counts, config_);
    if (!first_fault_) return;
    const std::string more = num_faults_ > 1 ? " (and " + std::to_string(num_faults_ - 1) + " more samples have a fault)" : "";
    throw Error(first_fault_->problem() + more, first_fault_->remedy());
  }

 private:
  // Why a kept conversation is not trained on, by its place in its file; null where it is.
  const char* why_unused(std::int64_t row_number) {
    if (config_.max_samples > 0 && of_file_ == config_.max_samples) return "not used: beyond data.max_samples";
    ++of_file_;
    const data::RowChoice train{config_.validation_fraction > 0 ? data::RowChoice::Part::kTrain : data::RowChoice::Part::kAll, config_.validation_fraction};
    if (train.takes(row_number)) return nullptr;
    ++held_out_;
    return "held out for validation";
  }

  void count(const data::Sample& sample) {
    lengths_.push_back(static_cast<std::int64_t>(sample.ids.size()));
    tokens_ += lengths_.back();
    trained_ += data::target_tokens(sample);
  }

  void note(const Error& fault) {
    if (++num_faults_ == 1) first_fault_ = fault;
  }

  void print(const data::Sample& sample, const std::string& where, const std::vector<std::string>& roles, const std::string& fate,
             const std::optional<Error>& fault) const {
    if (flags_.json) {
      OrderedJson line{{"where", where}, {"roles", roles}, {"fate", fate}};
      line["fault"] = fault ? OrderedJson(fault->problem()) : OrderedJson();
      line.update(sample_json(sample, tokenizer_));
      write_now(std::cout, dump_json(line) + "\n");
      return;
    }
    std::string head = where;
    for (std::size_t i = 0; i < roles.size(); ++i) head += (i ? ", " : ": ") + roles[i];
    head += "; " + std::to_string(sample.ids.size()) + " tokens, " + std::to_string(data::target_tokens(sample)) + " trained on; " + fate;
    write_now(std::cout, "--- " + head + "\n" + marked(pieces_of(sample, tokenizer_), colour_ ? Marks::kColour : Marks::kBrackets) + "\n" +
                             (fault ? "!!! " + fault->problem() + "\n" : "") + "\n");
  }

  // Share of the packed rows that would be tokens.
  double fill() const {
    const auto rows = data::pack_best_fit(lengths_, config_.seq_length);
    return rows.empty() ? 0
                        : static_cast<double>(tokens_) / static_cast<double>(static_cast<std::int64_t>(rows.size()) * config_.seq_length);
  }

  OrderedJson summary(const data::ConversationCounts& counts) const {
    OrderedJson out{{"samples", lengths_.size()},
                    {"tokens", tokens_},
                    {"trained_tokens", trained_},
                    {"longest", lengths_.empty() ? 0 : std::ranges::max(lengths_)},
                    {"rows", counts.rows},
                    {"conversations", counts.conversations},
                    {"held_out", held_out_},
                    {"filtered", counts.filtered},
                    {"too_long", counts.too_long},
                    {"nothing_left", counts.nothing_left},
                    {"weightless", counts.weightless},
                    {"cut", counts.cut},
                    {"faults", num_faults_}};
    if (config_.packing == data::Packing::kBestFit) out["packing_fill"] = fill();
    return out;
  }

  std::string summary_text(const data::ConversationCounts& counts) const {
    std::string out =
        std::to_string(lengths_.size()) + " samples, " + std::to_string(tokens_) + " tokens, " + std::to_string(trained_) + " trained on";
    if (tokens_ > 0)
      out +=
          " (" + std::to_string(100 * trained_ / tokens_) + " %), the longest of " + std::to_string(std::ranges::max(lengths_)) + " tokens";
    if (const std::string what = data::describe(counts); !what.empty())
      out += "; of " + std::to_string(counts.conversations) + " conversations " + what;
    if (held_out_ > 0) out += "; " + std::to_string(held_out_) + " held out for validation";
    if (config_.packing == data::Packing::kBestFit)
      out += "; packed, the rows are " + std::to_string(static_cast<std::int64_t>(100 * fill())) + " % full";
    if (num_faults_ > 0) out += "; " + std::to_string(num_faults_) + " with a fault";
    return out + "\n";
  }

  const PreviewFlags& flags_;
  const data::DataConfig& config_;
  const text::Tokenizer& tokenizer_;
  bool colour_;
  std::int64_t shown_ = 0, tokens_ = 0, trained_ = 0, num_faults_ = 0, of_file_ = 0, held_out_ = 0;
  std::vector<std::int64_t> lengths_;
  std::optional<Error> first_fault_;
};

std::vector<fs::path> files_of(const data::DataConfig& config) {
  if (config.blend.empty()) return {config.path};
  Violations violations;
  std::vector<fs::path> files;
  for (const data::WeightedFile& file : data::parse_blend(config.blend, violations)) files.push_back(file.path);
  return files;
}

}  // namespace

int run_preview(const Arguments& arguments, Log& log) {
  CLI::App app(
      "Prints samples as a model would be trained on them, trained tokens in colour (elsewhere in [[ ]]), and the counts of the whole set",
      "sluice data preview");
  PreviewFlags flags;
  declare(app, flags);
  Arguments rest = arguments;
  flags.overrides = take_settings(rest, {"--json"});
  if (parse(app, rest) == Parsed::kHelpShown) return 0;
  PreviewRecipe recipe = recipe_of(flags, log);
  const fs::path folder = recipe.model.tokenizer.empty() ? recipe.model.load : recipe.model.tokenizer;
  const auto tokenizer = text::open_tokenizer(folder);
  Preview preview(flags, recipe.data, *tokenizer);
  const data::Categories categories(recipe.routing_supervision.categories);
  data::ConversationCounts counts;
  std::string files;
  for (const fs::path& path : files_of(recipe.data)) {
    files += (files.empty() ? "" : ", ") + path.string();
    if (data::has_conversations(recipe.data.format)) {
      const data::SampleMaker maker(recipe.data, {tokenizer.get(), folder}, categories);
      if (files == path.string()) for (const std::string& note : data::notes_on(maker.format())) log.note(note);
      preview.begin_file();
      counts.add(data::for_each_conversation(path, recipe.data, maker, num_processors(),
                                             [&](const data::TokenisedRow& row) { preview.add(row); }));
      continue;
    }
    data::DataConfig of_file = recipe.data;
    of_file.path = path;
    of_file.blend.clear();
    of_file.validation_path.clear();
    const auto rows = data::open_datasets(of_file, {tokenizer.get(), tokenizer->vocab_size(), data::LabelPolicy::kOptional, folder, categories}).train;
    for (std::int64_t i = 0; i < rows->size(); ++i) preview.add(rows->at(i), rows->raw(i).where);
  }
  preview.finish(counts, files);
  return 0;
}

}  // namespace sluice::cli
