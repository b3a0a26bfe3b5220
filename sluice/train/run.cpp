#include "sluice/train/run.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <iostream>
#include <limits>
#include <set>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/base/interrupt.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/step_folder.h"
#include "sluice/data/instruct/templates.h"
#include "sluice/models/export_note.h"
#include "sluice/monitor/display.h"
#include "sluice/monitor/report.h"
#include "sluice/monitor/run_info.h"
#include "sluice/monitor/summary.h"
#include "sluice/base/version.h"
#include "sluice/checkpoint/weight_reader.h"
#include "sluice/train/best.h"
#include "sluice/train/command.h"
#include "sluice/train/evaluation.h"
#include "sluice/train/export_state.h"
#include "sluice/train/folder_watch.h"
#include "sluice/train/follow.h"
#include "sluice/train/records.h"
#include "sluice/train/start.h"

namespace sluice::train {
namespace {

using Clock = std::chrono::steady_clock;

void clear_folder(const fs::path& output) {
  for (const char* name : {"checkpoints", "hf", "summary.json", "report.html", "log.txt", "config.yaml", "samples.json", monitor::kEvaluationBefore}) fs::remove_all(output / name);
  for (const auto& entry : fs::directory_iterator(output)) {
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) fs::remove(entry.path());
  }
  for (const char* name : {"metrics.jsonl", "run.json"}) fs::remove(output / name);  // last: after a kill in between there is still a run to overwrite
}

void make_folder(const fs::path& output) {
  std::error_code failure;
  fs::create_directories(output, failure);
  if (failure) throw Error("cannot make the run folder " + output.string() + ": " + failure.message(), "give another --output-dir");
}

// The run as it goes: what one object holds so that a step, a save and an end can share it.
class Run {
 public:
  Run(const ResolvedRecipe& resolved, Start start, const dist::Mesh& mesh, Log& log)
      : recipe_(resolved.recipe), output_(resolved.recipe.output_dir), mesh_(mesh), log_(log), resumed_from_(start.resume_from) {
    if (start.folder == Folder::kFresh) open_folder();
    for (const std::string& warning : start.warnings) log_.warning(warning);
    if (resumed_from_) {
      for (const std::string& line : changed_settings(*resumed_from_, resolved)) log_.note("changed since the run was started: " + line);
    }
    for (const std::string& note : resolved.notes) log_.note(note);
    for (const std::string& note : start.notes) log_.note(note);
    session_ = together(mesh_, [&] { return std::make_unique<Session>(resolved, std::move(start.data), mesh_, log_); });
    if (start.folder == Folder::kReplaces) {  // only now that data and model are known to be good
      clear_folder(output_);
      open_folder();
    }
    progress_.seed = recipe_.train.seed;
    progress_.data_fingerprint = session_->data.sets.train->counts().fingerprint;
    if (resumed_from_) {
      progress_ = load_state(*resumed_from_, session_->kept());
      log_.info("resumed from " + resumed_from_->string() + " at step " + std::to_string(progress_.step));
    }
    if (!already_done()) write_file_atomic(output_ / "config.yaml", to_yaml(resolved));
  }

  bool already_done() const { return progress_.step >= session_->data.total_steps; }

  // Whether all steps are on disk, but a kill came before the summary, the export and the report that follow them, or an export is asked
  // for that was not made.
  bool lacks_its_end() const {
    const auto info = monitor::read_run_info(output_);
    if (!info) return false;
    const bool ended = info->state == monitor::RunState::kFinished && fs::exists(output_ / "summary.json") && fs::exists(output_ / "report.html");
    return !ended || (recipe_.checkpoint.export_hf && !export_is_final(recipe_.export_folder(), info->exported, progress_.step));
  }

  void train() {
    if (already_done() && !lacks_its_end()) {
      log_.note("the run has all of its " + std::to_string(session_->data.total_steps) + " steps: nothing to do; raise train.train_iters or train.epochs to go on");
      return;
    }
    start();
    const InterruptGuard signals;
    try {
      if (progress_.step == 0 && !recipe_.model.load.empty() && session_->data.sets.validation) evaluate_before();
      while (!already_done()) {
        one_step();
        const bool last = already_done(), stops = mesh_.any(signals.interrupted());
        if (validates_now(last)) validate();
        record();
        if (last || saves_now() || stops) save();
        if (stops && !last) interrupted();
      }
      finish();
    } catch (const Interrupted&) {
      throw;
    } catch (const std::exception& error) {
      keep_last_state();
      fail(error);
      tell_failed();
      throw;
    }
  }

 private:
  void tell_failed() const {
    try {
      tell(mesh_, Command::kFailed);
    } catch (const Error&) {  // a rank that is gone: what failed first is what gets reported
    }
  }

  // A run that cannot go on (its data changed, a file cannot be written) does not lose the steps since the last save.
  void keep_last_state() {
    if (!session_ || progress_.step == 0 || saved_step_ == progress_.step || !watch_->is_there()) return;
    const auto alone = session_->kept_alone();
    if (!alone) return;  // ranks have parts of it, and what has failed may be one of them
    try {
      write_checkpoint(*alone);
      log_.note("the state after step " + std::to_string(progress_.step) + " is saved: --resume latest goes on from there");
    } catch (const std::exception& error) {  // the error that ends the run is the one to report
      log_.warning("the state after step " + std::to_string(progress_.step) + " could not be saved: " + error.what());
    }
  }

  void open_folder() {
    make_folder(output_);
    watch_.emplace(output_);
    log_.open_file(output_ / "log.txt");
  }

  // What run.json says of the export. A file that cannot be read is written again.
  std::optional<monitor::Exported> former_export() const {
    try {
      const auto info = monitor::read_run_info(output_);
      return info ? info->exported : std::nullopt;
    } catch (const Error&) {  // which the start has warned of
      return std::nullopt;
    }
  }

  void start() {
    monitor::RunInfo info = monitor::running_here();
    const models::MoeShape moe = session_->resolved.model_config->moe();
    info.total_steps = session_->data.total_steps;
    info.model_name = recipe_.model.architecture;
    info.num_layers = moe.num_layers;
    info.num_experts = moe.num_experts;
    if (session_->target) info.categories = recipe_.routing_supervision.categories;
    info.version = kVersion;
    info.exported = former_export();
    if (!already_done()) {
      const std::string note = export_note(recipe_.export_folder(), info.exported, recipe_.checkpoint.export_hf ? ExportWanted::kYes : ExportWanted::kNo);
      if (!note.empty()) log_.note(note);
      export_will_be_outdated_ = info.exported.has_value();
    }
    monitor::write_run_info(output_, info);
    if (resumed_from_) {
      if (const std::string note = settle_pointers(output_, *resumed_from_, progress_); !note.empty()) log_.note(note);
    }
    records_ = std::make_unique<Records>(output_, progress_.step, recipe_.log.tensorboard ? Events::kOn : Events::kOff, log_);
    if (resumed_from_ && is_of_run(*resumed_from_, output_)) records_->take_back(*resumed_from_);
    display_ = std::make_unique<monitor::Display>(std::cerr, STDERR_FILENO, log_,
                                                  monitor::DisplayOptions{output_.string(), session_->data.total_steps, recipe_.log.interval});
  }

  void one_step() {
    const auto begin = Clock::now();
    const std::int64_t number = progress_.step + 1;
    tell(mesh_, Command::kStep);
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
    if (result.expert_counts.defined() && recipe_.moe.expert_capacity_factor > 0) {
      current_.dropped_share = 1 - result.expert_counts.sum(at::kDouble).item<double>() / result.chosen;
    }
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

  // Keeps the weights as they are and, since those may be ruined already, the checkpoint before them: nothing is pruned here.
  [[noreturn]] void stop_on_nan(std::int64_t number, const StepResult& result) {
    const std::string what = std::isfinite(result.losses.loss) ? "gradient norm" : "loss", step = "step " + std::to_string(number);
    if (progress_.step == 0) {
      throw Error("the " + what + " of " + step + " is not a finite number, with the weights that the run started with", "look at the weights, and at the rows of that step");
    }
    if (saved_step_ != progress_.step) write_checkpoint();
    std::string former;
    for (const auto& folder : checkpoint::list_steps(output_)) {
      if (!folder.fault && folder.step < progress_.step) former = folder.path.string();
    }
    const std::string kept = (checkpoint::checkpoints_folder(output_) / checkpoint::step_name(progress_.step)).string();
    throw Error("the " + what + " of " + step + " is not a finite number; the weights that gave it are kept in " + kept +
                    (former.empty() ? "" : ", and in case these are ruined already, the checkpoint before them in " + former),
                "lower optimizer.lr or optimizer.clip_grad, lengthen the warm-up, or look at the rows of that step; then go on with --resume latest" +
                    (former.empty() ? "" : ", or from before: --resume " + former));
  }

  bool logs_now() const { return progress_.step % recipe_.log.interval == 0 || progress_.step == 1 || already_done(); }
  bool saves_now() const { return recipe_.checkpoint.save_interval > 0 && progress_.step % recipe_.checkpoint.save_interval == 0; }
  bool validates_now(bool last) const {
    if (!session_->data.sets.validation) return false;
    return last || (recipe_.train.validation_interval > 0 && progress_.step % recipe_.train.validation_interval == 0);
  }

  // Where ranks hold parts of the model they run it with this one.
  monitor::Evaluation evaluate(std::int64_t generated_rows) const {
    if (!session_->model_is_whole()) tell(mesh_, Command::kEvaluate, generated_rows);
    return train::evaluate(*session_, generated_rows);
  }

  // What the loaded model is worth, for the report to hold the result against.
  void evaluate_before() {
    display_->set_status("evaluating the model as it was loaded");
    monitor::write_evaluation_before(output_, evaluate(recipe_.log.exact_match_samples));
    display_->set_status("");
  }

  void validate() {
    display_->set_status("validating");
    const double loss = *evaluate(0).lm_loss;
    constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
    current_.validation = monitor::Losses{loss, loss, kNotMeasured, kNotMeasured, kNotMeasured};
    display_->set_status("");
    if (!std::isfinite(loss) || (progress_.best_validation_loss && loss >= *progress_.best_validation_loss)) return;
    progress_.best_validation_loss = loss;
    progress_.best_step = progress_.step;
    is_best_ = true;
  }

  void record() {
    watch_->require();
    if (std::exchange(export_will_be_outdated_, false)) {
      change_info([](monitor::RunInfo& info) {
        if (info.exported) info.exported->outdated = true;
      });
    }
    records_->write(current_);
    display_->update(current_);
    if (is_best_ && !already_done() && !saves_now()) save();  // the best weights are kept even where no regular save falls
  }

  void save() {
    if (saved_step_ == progress_.step) return;
    write_checkpoint();
    const auto best = checkpoint::read_pointer(output_, checkpoint::kBest);
    if (recipe_.checkpoint.keep > 0) checkpoint::prune(output_, static_cast<int>(recipe_.checkpoint.keep), best ? std::set<std::int64_t>{*best} : std::set<std::int64_t>{});
  }

  void write_checkpoint() {
    watch_->require();
    tell(mesh_, Command::kSave);
    write_checkpoint(session_->kept());
  }

  void write_checkpoint(const Kept& kept) {
    watch_->require();
    display_->set_status("saving " + checkpoint::step_name(progress_.step));
    save_state(output_, progress_, kept, [&](const fs::path& folder) {
      session_->write_companions(folder);
      records_->keep_unwritten(current_, folder);
    });
    saved_step_ = progress_.step;
    if (is_best_) checkpoint::write_pointer(output_, checkpoint::kBest, progress_.step);
    is_best_ = false;
    log_.file_only("saved " + checkpoint::step_name(progress_.step));
    display_->set_status("");
  }

  [[noreturn]] void interrupted() {
    end(monitor::RunState::kInterrupted, "by a signal, after saving step " + std::to_string(progress_.step));
    log_.info("interrupted: saved " + checkpoint::step_name(progress_.step) + "; go on with --resume latest");
    tell(mesh_, Command::kInterrupted);
    throw Interrupted{};
  }

  void end(monitor::RunState state, const std::string& detail) {
    if (display_) display_->finish();
    change_info([&](monitor::RunInfo& info) {
      info.state = state;
      info.detail = detail;
    });
  }

  template <class Change>
  void change_info(const Change& change) {
    auto info = monitor::read_run_info(output_);
    if (!info) return;
    change(*info);
    monitor::write_run_info(output_, *info);
  }

  void fail(const std::exception& error) {
    try {
      end(monitor::RunState::kFailed, std::string(error.what()).substr(0, std::string(error.what()).find('\n')));
    } catch (const Error&) {  // a full disk, say: what failed first is what gets reported
    }
  }

  // The last thing that is done with these weights.
  void merge_adapters() {
    const auto merged = models::merge(*session_->store, session_->adapters, checkpoint::to_torch(session_->export_dtype));
    const std::string warning = models::rounding_warning(merged, std::string(checkpoint::dtype_name(session_->export_dtype)));
    if (!warning.empty()) log_.warning(recipe_.export_folder().string() + ": " + warning);
  }

  // In HF's layout: from the store, or where ranks hold parts of it from the last checkpoint, tensor by tensor.
  void export_weights(const fs::path& to) const {
    const auto write = [&](const checkpoint::WholeTensors& values) { checkpoint::export_hf(to, *session_->resolved.model_config, session_->table, values, session_->export_dtype, std::nullopt); };
    if (session_->model_is_whole()) return write([&](const models::TensorSpec& spec) { return checkpoint::exact_value(session_->store->at(spec.parameter.name)); });
    const auto saved = checkpoint::open_model_folder(checkpoint::checkpoints_folder(output_) / checkpoint::step_name(progress_.step));
    const auto weights = checkpoint::open_weights(saved, session_->table);
    write([&](const models::TensorSpec& spec) {
      const at::Tensor value = at::empty(spec.parameter.shape, at::kFloat);
      weights->read(spec, value);
      return value;
    });
  }

  void finish() {
    watch_->require();
    monitor::Summary summary = monitor::summarize(monitor::MetricsReader(output_).poll());
    if (session_->data.sets.validation) {
      summary.evaluation = evaluate(recipe_.log.exact_match_samples);
    }
    monitor::write_summary(output_, summary);
    if (!session_->model_is_whole()) tell(mesh_, Command::kAnswer);
    if (const auto samples = answer_samples(*session_); !samples.empty()) monitor::write_samples(output_, samples);
    if (recipe_.checkpoint.export_hf) {
      if (recipe_.lora.use_lora) merge_adapters();
      const fs::path to = recipe_.export_folder();
      export_weights(to);
      session_->write_companions(to);
      change_info([&](monitor::RunInfo& info) { info.exported = {progress_.step, false}; });
      if (const std::string note = models::export_note(*session_->resolved.model_config); !note.empty()) log_.note(to.string() + ": " + note);
    } else if (const std::string warning = export_warning(recipe_.export_folder(), former_export(), progress_.step); !warning.empty()) {
      log_.warning(warning);
    }
    end(monitor::RunState::kFinished, "");
    const std::string asking = data::has_conversations(recipe_.data.format) ? data::asking_note(recipe_.data.instruct) : "";
    if (!asking.empty()) log_.note(asking);
    monitor::write_report(output_);
    log_.info("finished: " + std::to_string(progress_.step) + " steps; report in " + (output_ / "report.html").string());
  }

  const Recipe& recipe_;
  fs::path output_;
  const dist::Mesh& mesh_;
  Log& log_;
  std::optional<fs::path> resumed_from_;
  std::unique_ptr<Session> session_;
  Progress progress_;
  std::optional<FolderWatch> watch_;
  std::unique_ptr<Records> records_;
  std::unique_ptr<monitor::Display> display_;
  monitor::StepMetrics current_;
  std::int64_t saved_step_ = -1;
  bool is_best_ = false, export_will_be_outdated_ = false;
};

}  // namespace

void run(const ResolvedRecipe& resolved, const RunOptions& options, const dist::Mesh& mesh, Log& log) {
  if (!mesh.leads()) return follow(resolved, mesh);
  Start start = together(mesh, [&] { return check_start(resolved, options); });
  mesh.from_leader(start.resume_from ? start.resume_from->string() : "");
  Run(resolved, std::move(start), mesh, log).train();
  tell(mesh, Command::kEnd);
}

}  // namespace sluice::train
