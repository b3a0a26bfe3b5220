#include "sluice/train/run.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <iostream>
#include <limits>
#include <set>

#include "sluice/base/error.h"
#include "sluice/base/interrupt.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/config/fields.h"
#include "sluice/eval/evaluate.h"
#include "sluice/monitor/display.h"
#include "sluice/monitor/event_file.h"
#include "sluice/monitor/report.h"
#include "sluice/monitor/run_info.h"
#include "sluice/monitor/summary.h"
#include "sluice/train/samples.h"
#include "sluice/train/session.h"
#include "sluice/train/state.h"
#include "sluice/base/version.h"

namespace sluice::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kGib = 1024.0 * 1024 * 1024;

std::string gib(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GiB", bytes / kGib);
  return text;
}

// Masters, gradients and two moments in float32, and the bf16 copies that compute; of a partly frozen model at least the copies.
double training_bytes(const ResolvedRecipe& resolved) {
  const bool float32 = resolved.recipe.train.precision == nn::Precision::kFloat32;
  const double each = resolved.recipe.train.freeze.empty() ? (float32 ? 16 : 18) : (float32 ? 4 : 2);
  return static_cast<double>(resolved.model_config->cost(1).parameters) * each;
}

double machine_bytes() { return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE)); }

void require_memory(const ResolvedRecipe& resolved) {
  if (training_bytes(resolved) <= machine_bytes()) return;
  throw Error("the model's weights, gradients and optimizer take " + gib(training_bytes(resolved)) + ", and this machine has " + gib(machine_bytes()),
              "use a smaller model, freeze most of it (train.freeze), or a larger machine");
}

bool has_run(const fs::path& folder) { return fs::exists(folder / "metrics.jsonl") || fs::exists(folder / "run.json"); }

// The step folder to go on from; nothing = start afresh.
std::optional<fs::path> find_resume(const RunOptions& options, const fs::path& output, Log& log) {
  if (options.resume.empty()) return std::nullopt;
  const fs::path given = options.resume == "latest" ? output : fs::path(options.resume);
  if (options.resume != "latest" && !fs::is_directory(given)) {
    throw Error("--resume " + options.resume + ": there is no such folder", "give a run folder, one of its checkpoints/step-*, or `latest`");
  }
  if (checkpoint::step_of(given.filename().string())) return given;
  const auto latest = checkpoint::find_latest(given);
  if (latest) {
    if (!latest->note.empty()) log.note(latest->note);
    return latest->path;
  }
  if (options.resume != "latest") throw Error("--resume " + options.resume + ": that folder holds no checkpoint", "give a run folder that has checkpoints, or a step folder");
  log.note("--resume latest: " + output.string() + " has no checkpoint yet, starting from the beginning");
  return std::nullopt;
}

enum class Folder { kFresh, kReplaces };

// Whether an earlier run in `output` is in the way; Error where it must stay. Nothing is touched yet.
Folder look_at_folder(const fs::path& output, const Recipe& recipe, const RunOptions& options) {
  if (!has_run(output)) return Folder::kFresh;
  const auto info = monitor::read_run_info(output);
  if (info && info->state == monitor::RunState::kRunning && info->pid != getpid() && monitor::alive(*info) == monitor::Alive::kYes) {
    throw Error(output.string() + " holds a run that is still going on (process " + std::to_string(info->pid) + ")", "wait for it, stop it, or give another --output-dir");
  }
  if (!options.resume.empty()) return Folder::kFresh;
  if (options.existing == Existing::kRefuse) {
    throw Error(output.string() + " already holds a run", "go on with it: --resume latest; replace it: --overwrite; or give another --output-dir");
  }
  const fs::path load = fs::weakly_canonical(recipe.model.load), inside = load.lexically_relative(fs::weakly_canonical(output));
  if (!recipe.model.load.empty() && !inside.empty() && *inside.begin() != "..") {
    throw Error("--overwrite would remove " + recipe.model.load + ", which model.load starts from", "give another --output-dir, or copy that model elsewhere first");
  }
  return Folder::kReplaces;
}

void clear_folder(const fs::path& output) {
  for (const char* name : {"metrics.jsonl", "run.json", "summary.json", "report.html", "log.txt", "config.yaml", "samples.json", "checkpoints", "hf"}) fs::remove_all(output / name);
  for (const auto& entry : fs::directory_iterator(output)) {
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) fs::remove(entry.path());
  }
}

void make_folder(const fs::path& output) {
  std::error_code failure;
  fs::create_directories(output, failure);
  if (failure) throw Error("cannot make the run folder " + output.string() + ": " + failure.message(), "give another --output-dir");
}

void show_differences(const ResolvedRecipe& resolved, const fs::path& output, Log& log) {
  if (!fs::exists(output / "config.yaml")) return;
  Recipe before;
  Violations ignored;  // settings of an older version may be unknown now; they are only shown
  auto settings = config::load_recipe(output / "config.yaml", {});
  std::erase_if(settings, [](const auto& s) { return s.key.starts_with("model.") && s.key != "model.load" && s.key != "model.tokenizer" && s.key != "model.architecture"; });
  config::apply(before, settings, ignored);
  for (const std::string& line : config::differences(before, resolved.recipe)) log.note("changed since the run was started: " + line);
}

// The run as it goes: what one object holds so that a step, a save and an end can share it.
class Run {
 public:
  Run(const ResolvedRecipe& resolved, const RunOptions& options, Log& log)
      : recipe_(resolved.recipe), output_(resolved.recipe.output_dir), log_(log), resumed_from_(find_resume(options, output_, log)) {
    require_memory(resolved);
    const Folder folder = look_at_folder(output_, recipe_, options);
    if (folder == Folder::kFresh) open_folder();
    if (resumed_from_) show_differences(resolved, output_, log_);
    for (const std::string& note : resolved.notes) log_.note(note);
    session_ = std::make_unique<Session>(resolved, log_);
    if (folder == Folder::kReplaces) {  // only now that data and model are known to be good
      clear_folder(output_);
      open_folder();
    }
    progress_.seed = recipe_.train.seed;
    progress_.data_fingerprint = session_->data.sets.train->counts().fingerprint;
    if (resumed_from_) resume();
    if (!already_done()) write_file_atomic(output_ / "config.yaml", to_yaml(resolved));
  }

  bool already_done() const { return progress_.step >= session_->data.total_steps; }

  // Whether all steps are on disk, but a kill came before the summary, the export and the report that follow them.
  bool lacks_its_end() const {
    const auto info = monitor::read_run_info(output_);
    return info && !(info->state == monitor::RunState::kFinished && fs::exists(output_ / "summary.json") && fs::exists(output_ / "report.html"));
  }

  void train() {
    if (already_done() && !lacks_its_end()) {
      log_.note("the run has all of its " + std::to_string(session_->data.total_steps) + " steps: nothing to do; raise train.train_iters or train.epochs to go on");
      return;
    }
    start();
    const InterruptGuard signals;
    try {
      while (!already_done()) {
        one_step();
        const bool last = already_done();
        if (validates_now(last)) validate();
        record();
        if (last || saves_now() || signals.interrupted()) save();
        if (signals.interrupted() && !last) interrupted();
      }
      finish();
    } catch (const Interrupted&) {
      throw;
    } catch (const std::exception& error) {
      end(monitor::RunState::kFailed, std::string(error.what()).substr(0, std::string(error.what()).find('\n')));
      throw;
    }
  }

 private:
  void open_folder() {
    make_folder(output_);
    log_.open_file(output_ / "log.txt");
  }

  void resume() {
    const Progress saved = load_state(*resumed_from_, *session_->store, *session_->optimizer);
    if (saved.data_fingerprint != progress_.data_fingerprint) {
      throw Error("the rows of " + recipe_.data.path + " are not those that " + resumed_from_->string() + " was trained on",
                  "resume with the same data, or start a new run from the weights: model.load=" + resumed_from_->string());
    }
    if (saved.seed != progress_.seed) {
      throw Error("train.seed = " + std::to_string(progress_.seed) + ", but " + resumed_from_->string() + " was trained with " + std::to_string(saved.seed),
                  "resume with train.seed=" + std::to_string(saved.seed));
    }
    if (saved.data_position != saved.step * recipe_.global_batch_size()) {
      throw Error("global_batch_size = " + std::to_string(recipe_.global_batch_size()) + ", but " + resumed_from_->string() + " consumed " + std::to_string(saved.data_position) +
                      " rows in " + std::to_string(saved.step) + " steps",
                  "resume with the batch size that the run was started with");
    }
    progress_ = saved;
    log_.info("resumed from " + resumed_from_->string() + " at step " + std::to_string(saved.step));
  }

  void start() {
    monitor::RunInfo info = monitor::running_here();
    const models::MoeShape moe = session_->resolved.model_config->moe();
    info.total_steps = session_->data.total_steps;
    info.model_name = recipe_.model.architecture;
    info.num_layers = moe.num_layers;
    info.num_experts = moe.num_experts;
    if (session_->target) info.categories.assign(data::kCategoryNames.begin(), data::kCategoryNames.end());
    info.version = kVersion;
    monitor::write_run_info(output_, info);
    metrics_ = std::make_unique<monitor::MetricsWriter>(output_);
    metrics_->truncate_after(progress_.step);
    if (recipe_.log.tensorboard) events_ = std::make_unique<monitor::EventFile>(output_, progress_.step + 1);
    display_ = std::make_unique<monitor::Display>(std::cerr, STDERR_FILENO, log_,
                                                  monitor::DisplayOptions{output_.string(), session_->data.total_steps, recipe_.log.interval});
  }

  void one_step() {
    const auto begin = Clock::now();
    const std::int64_t number = progress_.step + 1;
    const StepResult result = session_->step->gradients(session_->micro_batches(number));
    if (!result.finite()) stop_on_nan(number, result);
    const double lr = optim::learning_rate(optim::schedule_of(recipe_.optimizer, session_->data.total_steps), number);
    session_->step->update(lr, result.grad_norm);
    progress_.step = number;
    progress_.data_position = number * recipe_.global_batch_size();

    current_ = {};
    current_.step = number;
    current_.train = result.losses;
    current_.learning_rate = lr;
    current_.grad_norm = result.grad_norm;
    current_.tokens = result.tokens;
    current_.target_tokens = result.target_tokens;
    current_.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    current_.tokens_per_second = static_cast<double>(result.tokens) / current_.seconds;
    if (result.expert_counts.defined() && logs_now()) current_.expert_load = shares(result.expert_counts);
  }

  static monitor::ExpertShares shares(const at::Tensor& counts) {
    monitor::ExpertShares out;
    const at::Tensor share = (counts / counts.sum(1, true).clamp_min(1)).to(at::kDouble).contiguous();
    for (std::int64_t layer = 0; layer < share.size(0); ++layer) {
      const auto* row = share.data_ptr<double>() + layer * share.size(1);
      out.emplace_back(row, row + share.size(1));
    }
    return out;
  }

  [[noreturn]] void stop_on_nan(std::int64_t number, const StepResult& result) {
    const std::string what = std::isfinite(result.losses.loss) ? "gradient norm" : "loss";
    if (progress_.step > 0 && saved_step_ != progress_.step) save();
    throw Error("the " + what + " of step " + std::to_string(number) + " is not a finite number; the weights before it are " +
                    (progress_.step > 0 ? "saved in " + (checkpoint::checkpoints_folder(output_) / checkpoint::step_name(progress_.step)).string() : "the ones that the run started with"),
                "lower optimizer.lr or optimizer.clip_grad, lengthen the warm-up, or look at the rows of that step; then --resume latest");
  }

  bool logs_now() const { return progress_.step % recipe_.log.interval == 0 || progress_.step == 1 || already_done(); }
  bool saves_now() const { return recipe_.checkpoint.save_interval > 0 && progress_.step % recipe_.checkpoint.save_interval == 0; }
  bool validates_now(bool last) const {
    if (!session_->data.sets.validation) return false;
    return last || (recipe_.train.validation_interval > 0 && progress_.step % recipe_.train.validation_interval == 0);
  }

  monitor::Evaluation evaluate(std::int64_t exact_match_rows) const {
    eval::EvaluateOptions options;
    options.batch_size = recipe_.train.micro_batch_size;
    options.expert_capacity_factor = recipe_.moe.expert_capacity_factor;
    const auto supervision = session_->routing_file();
    if (supervision) options.supervision = &*supervision;
    options.exact_match_rows = exact_match_rows;
    options.tokenizer = session_->data.tokenizer.get();
    options.max_target_length = recipe_.data.max_target_length;
    return eval::evaluate({*session_->model, *session_->resolved.model_config}, *session_->data.sets.validation, options);
  }

  void validate() {
    display_->set_status("validating");
    const double loss = *evaluate(0).lm_loss;
    constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
    current_.validation = monitor::Losses{loss, loss, kNotMeasured, kNotMeasured, kNotMeasured};
    display_->set_status("");
    if (progress_.best_validation_loss && loss >= *progress_.best_validation_loss) return;
    progress_.best_validation_loss = loss;
    progress_.best_step = progress_.step;
    is_best_ = true;
  }

  void record() {
    metrics_->write(current_);
    if (events_) events_->write(current_.step, monitor::scalars_of(current_));
    display_->update(current_);
    if (is_best_ && !already_done() && !saves_now()) save();  // the best weights are kept even where no regular save falls
  }

  void save() {
    if (saved_step_ == progress_.step) return;
    display_->set_status("saving " + checkpoint::step_name(progress_.step));
    save_state(output_, progress_, *session_->store, *session_->optimizer, [&](const fs::path& folder) { session_->write_companions(folder); });
    saved_step_ = progress_.step;
    if (is_best_) checkpoint::write_pointer(output_, "best", progress_.step);
    is_best_ = false;
    const auto best = checkpoint::read_pointer(output_, "best");
    if (recipe_.checkpoint.keep > 0) checkpoint::prune(output_, static_cast<int>(recipe_.checkpoint.keep), best ? std::set<std::int64_t>{*best} : std::set<std::int64_t>{});
    log_.file_only("saved " + checkpoint::step_name(progress_.step));
    display_->set_status("");
  }

  [[noreturn]] void interrupted() {
    end(monitor::RunState::kInterrupted, "by a signal, after saving step " + std::to_string(progress_.step));
    log_.info("interrupted: saved " + checkpoint::step_name(progress_.step) + "; go on with --resume latest");
    throw Interrupted{};
  }

  void end(monitor::RunState state, const std::string& detail) {
    if (display_) display_->finish();
    auto info = monitor::read_run_info(output_);
    if (!info) return;
    info->state = state;
    info->detail = detail;
    monitor::write_run_info(output_, *info);
  }

  void finish() {
    monitor::Summary summary = monitor::summarize(monitor::MetricsReader(output_).poll());
    if (session_->data.sets.validation) {
      const bool questions = recipe_.data.format == data::Format::kQa;
      summary.evaluation = evaluate(questions ? recipe_.log.exact_match_samples : 0);
    }
    monitor::write_summary(output_, summary);
    write_sample_answers(*session_, output_);
    if (recipe_.checkpoint.export_hf) {
      checkpoint::export_hf(output_ / "hf", *session_->resolved.model_config, session_->table, *session_->store, session_->export_dtype, std::nullopt);
      session_->write_companions(output_ / "hf");
    }
    end(monitor::RunState::kFinished, "");
    monitor::write_report(output_);
    log_.info("finished: " + std::to_string(progress_.step) + " steps; report in " + (output_ / "report.html").string());
  }

  const Recipe& recipe_;
  fs::path output_;
  Log& log_;
  std::optional<fs::path> resumed_from_;
  std::unique_ptr<Session> session_;
  Progress progress_;
  std::unique_ptr<monitor::MetricsWriter> metrics_;
  std::unique_ptr<monitor::EventFile> events_;
  std::unique_ptr<monitor::Display> display_;
  monitor::StepMetrics current_;
  std::int64_t saved_step_ = -1;
  bool is_best_ = false;
};

}  // namespace

void run(const ResolvedRecipe& resolved, const RunOptions& options, Log& log) { Run(resolved, options, log).train(); }

std::vector<std::string> dry_run(const ResolvedRecipe& resolved, Log&) {
  const Recipe& recipe = resolved.recipe;
  const SessionData data = open_data(resolved);
  const models::Cost cost = resolved.model_config->cost(data.sets.train->counts().longest_row);
  std::vector<std::string> out{
      "model: " + recipe.model.architecture + ", " + std::to_string(cost.parameters) + " parameters (" + std::to_string(cost.active_parameters) + " active per token)",
      "data: " + data::describe(data.sets.train->counts()),
      "steps: " + std::to_string(data.total_steps) + " of " + std::to_string(recipe.global_batch_size()) + " rows (" + std::to_string(recipe.accumulation_steps()) + " micro-batches of " +
          std::to_string(recipe.train.micro_batch_size) + ")",
      "memory for weights, gradients and optimizer: " + gib(training_bytes(resolved)) + ", activations beside it; this machine has " + gib(machine_bytes()) +
          (training_bytes(resolved) > machine_bytes() ? ": too little" : ""),
      "checkpoint: " + gib(static_cast<double>(cost.parameters) * 12) + " each, " + gib(static_cast<double>(free_disk_bytes(recipe.output_dir))) + " free in " + recipe.output_dir,
  };
  if (!recipe.model.load.empty()) out.push_back("weights: " + recipe.model.load + ", all files readable");
  for (const std::string& note : resolved.notes) out.push_back("note: " + note);
  out.push_back("nothing was started (--dry-run)");
  return out;
}

}  // namespace sluice::train
