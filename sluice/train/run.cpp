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
#include "sluice/base/version.h"
#include "sluice/checkpoint/step_folder.h"
#include "sluice/config/fields.h"
#include "sluice/data/instruct/templates.h"
#include "sluice/monitor/display.h"
#include "sluice/monitor/report.h"
#include "sluice/monitor/run_info.h"
#include "sluice/monitor/summary.h"
#include "sluice/train/best.h"
#include "sluice/train/command.h"
#include "sluice/train/evaluation.h"
#include "sluice/train/export_final.h"
#include "sluice/train/export_state.h"
#include "sluice/train/folder_watch.h"
#include "sluice/train/follow.h"
#include "sluice/train/peak_memory.h"
#include "sluice/train/records.h"
#include "sluice/train/run_folder.h"
#include "sluice/train/start.h"
#include "sluice/train/step_figures.h"
#include "sluice/train/worker.h"

namespace sluice::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kMostBadInARow = 10;

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
    worker_.emplace(resolved, std::move(start.data), mesh_, log_);
    together(mesh_, [&] {
      if (start.folder == Folder::kReplaces) {  // only now that data and model are known to be good
        clear_run_folder(output_);
        open_folder();
      }
      return true;
    });
    worker_->open_log();
    if (resumed_from_) {
      worker_->resume(*resumed_from_);
      last_state_ = resumed_from_;
      log_.info("resumed from " + resumed_from_->string() + " at step " + std::to_string(step()));
    }
    if (!already_done()) write_file_atomic(output_ / "config.yaml", to_yaml(resolved));
  }

  bool already_done() const { return step() >= session().data.total_steps; }

  // Whether all steps are on disk, but a kill came before the summary, the export and the report that follow them, or an export is asked
  // for that was not made.
  bool lacks_its_end() const {
    const auto info = monitor::read_run_info(output_);
    if (!info) return false;
    const bool ended = info->state == monitor::RunState::kFinished && fs::exists(output_ / "summary.json") && fs::exists(output_ / "report.html");
    return !ended || (recipe_.checkpoint.export_hf && !export_is_final(recipe_.export_folder(), info->exported, step()));
  }

  void train() {
    if (already_done() && !lacks_its_end()) {
      log_.note("the run has all of its " + std::to_string(session().data.total_steps) + " steps: nothing to do; raise train.train_iters or train.epochs to go on");
      return;
    }
    start();
    const InterruptGuard signals;
    try {
      if (step() == 0 && !recipe_.model.load.empty() && session().data.sets.validation) evaluate_before();
      while (!already_done()) train_one(signals);
      finish_saving();
      finish();
    } catch (const Interrupted&) {
      throw;
    } catch (const dist::StoppedByAnotherRank&) {
      fail("another rank said why");
      tell_failed();
      throw;
    } catch (const std::exception& error) {
      keep_last_state();
      fail(error.what());
      tell_failed();
      throw;
    }
  }

 private:
  Session& session() { return worker_->session(); }
  const Session& session() const { return worker_->session(); }
  std::int64_t step() const { return worker_->progress().step; }

  // One step, and what is due after it.
  void train_one(const InterruptGuard& signals) {
    const Worker::Asked asked = one_step(signals);
    bool stops = asked.stops;
    if (worker_->is_saving() && asked.written) finish_saving();
    const bool last = already_done();
    if (validates_now(last)) {
      validate();
      tell(mesh_, Command::kAsk);
      stops = worker_->ask(signals.interrupted()).stops || stops;
    }
    record();
    if (last || saves_now() || stops) save();
    if (stops && !last) interrupted();
  }

  void tell_failed() const {
    try {
      tell(mesh_, Command::kFailed);
    } catch (const Error&) {  // a rank that is gone: what failed first is what gets reported
    }
  }

  // A run that cannot go on (its data changed, a file cannot be written) does not lose the steps since the last save.
  void keep_last_state() {
    if (!state_is_sound_ || step() == 0 || !watch_->is_there()) return;
    try {
      if (const auto committed = worker_->commit_alone()) saved(*committed, Old::kKeep);
      // Where ranks have parts of the state what has failed may be one of them, and nothing can be saved.
      if (saved_step_ == step() || !worker_->save_alone([&](const fs::path& folder) { add_files(folder); })) return;
      begun_is_best_ = is_best_;
      saved(step(), Old::kKeep);
      log_.note("the state after step " + std::to_string(step()) + " is saved: --resume latest goes on from there");
    } catch (const std::exception& error) {  // the error that ends the run is the one to report
      log_.warning("the state after step " + std::to_string(step()) + " could not be saved: " + error.what());
    }
  }

  void open_folder() {
    make_run_folder(output_);
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
    const models::MoeShape moe = session().resolved.model_config->moe();
    info.total_steps = session().data.total_steps;
    info.model_name = recipe_.model.architecture;
    info.num_layers = moe.num_layers;
    info.num_experts = moe.num_experts;
    if (session().target) info.categories = recipe_.routing_supervision.categories;
    info.version = kVersion;
    info.exported = former_export();
    if (!already_done()) {
      const std::string note = export_note(recipe_.export_folder(), info.exported, recipe_.checkpoint.export_hf ? ExportWanted::kYes : ExportWanted::kNo);
      if (!note.empty()) log_.note(note);
      export_will_be_outdated_ = info.exported.has_value();
    }
    monitor::write_run_info(output_, info);
    if (resumed_from_) {
      if (const std::string note = settle_pointers(output_, *resumed_from_, worker_->progress()); !note.empty()) log_.note(note);
    }
    records_ = std::make_unique<Records>(output_, step(), recipe_.log.tensorboard ? Events::kOn : Events::kOff, log_);
    if (resumed_from_ && is_of_run(*resumed_from_, output_)) records_->take_back(*resumed_from_);
    display_ = std::make_unique<monitor::Display>(std::cerr, STDERR_FILENO, log_,
                                                  monitor::DisplayOptions{output_.string(), session().data.total_steps, recipe_.log.interval});
  }

  Worker::Asked one_step(const InterruptGuard& signals) {
    const auto begin = Clock::now();
    tell(mesh_, Command::kStep);
    const TakenStep taken = worker_->step();
    current_ = figures_of(taken, recipe_, std::chrono::duration<double>(Clock::now() - begin).count());
    if (logs_now()) current_.expert_load = expert_load(taken);
    // What fails from here on is after the step, whose figures are known.
    if (const std::string disagreement = worker_->compare_replicas(); !disagreement.empty()) stop_on_disagreement(disagreement);
    const Worker::Asked asked = worker_->ask(signals.interrupted());
    if (taken.judgement == Judgement::kGood) bad_in_a_row_ = 0;
    else answer_bad_step(taken);
    return asked;
  }

  [[noreturn]] void stop_on_disagreement(const std::string& disagreement) {
    state_is_sound_ = false;
    throw Error("after step " + std::to_string(step()) + " processes that hold the same parameters have other values: " + disagreement + " (of two that differ, either may be wrong)",
                "look for faults of memory or processor on that host, leave it out, and go on with --resume and a checkpoint of a step up to " +
                    std::to_string(step() - recipe_.train.check_replicas_interval) + ", when all agreed");
  }

  // As train.on_nan or train.on_spike says.
  void answer_bad_step(const TakenStep& taken) {
    const bool spike = taken.judgement == Judgement::kSpike;
    const BadStep answer = spike ? recipe_.train.on_spike : recipe_.train.on_nan;
    const std::string what = worker_->what_is_bad(taken), setting = std::string(spike ? "train.on_spike = " : "train.on_nan = ") + config::format(answer);
    if (answer == BadStep::kStop) stop_on_bad_step(what);
    current_.skipped = spike ? "spike" : "nan";
    if (++bad_in_a_row_ > kMostBadInARow) stop_on_bad_step(what + ", as in the " + std::to_string(kMostBadInARow) + " steps before it (" + setting + ")");
    std::string done = "its update is left out";
    if (answer == BadStep::kRollback) done = roll_back() ? "back to the weights of step " + std::to_string(*current_.rolled_back_to) + ", on with the rows after this step" : "its update is left out, as there is no checkpoint to go back to yet";
    log_.warning(what + "; " + done + " (" + setting + ")");
  }

  // Whether there is a checkpoint to go back to.
  bool roll_back() {
    finish_saving();
    if (!last_state_) return false;
    current_.rolled_back_to = read_progress(*last_state_).step;
    tell(mesh_, Command::kRollBack);
    worker_->roll_back(*last_state_);
    return true;
  }

  // Keeps the weights as they are and, since those may be ruined already, the checkpoint before them: nothing is pruned here.
  [[noreturn]] void stop_on_bad_step(const std::string& what) {
    if (step() == 0) throw Error(what + ", with the weights that the run started with", "look at the weights, and at the rows of that step");
    begin_saving();
    finish_saving(Old::kKeep);
    std::string former;
    for (const auto& folder : checkpoint::list_steps(output_)) {
      if (!folder.fault && folder.step < step()) former = folder.path.string();
    }
    const std::string kept = (checkpoint::checkpoints_folder(output_) / checkpoint::step_name(step())).string();
    throw Error(what + "; the weights that gave it are kept in " + kept + (former.empty() ? "" : ", and in case these are ruined already, the checkpoint before them in " + former),
                "lower optimizer.lr or optimizer.clip_grad, lengthen the warm-up, or look at the rows of that step; then go on with --resume latest" +
                    (former.empty() ? "" : ", or from before: --resume " + former) + "; train.on_nan and train.on_spike say what to do without you");
  }

  bool logs_now() const { return step() % recipe_.log.interval == 0 || step() == 1 || already_done(); }
  bool saves_now() const { return recipe_.checkpoint.save_interval > 0 && step() % recipe_.checkpoint.save_interval == 0; }
  bool validates_now(bool last) const {
    if (!session().data.sets.validation) return false;
    return last || (recipe_.train.validation_interval > 0 && step() % recipe_.train.validation_interval == 0);
  }

  // Where ranks hold parts of the model they run it with this one.
  monitor::Evaluation evaluate(std::int64_t generated_rows) const {
    if (!session().model_is_whole()) tell(mesh_, Command::kEvaluate, generated_rows);
    return train::evaluate(session(), generated_rows);
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
    if (!std::isfinite(loss) || (worker_->progress().best_validation_loss && loss >= *worker_->progress().best_validation_loss)) return;
    worker_->progress().best_validation_loss = loss;
    worker_->progress().best_step = step();
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

  // Of this step. In the background it goes on when this returns.
  void save() {
    begin_saving();
    if (!recipe_.checkpoint.async_save) finish_saving();
  }

  void begin_saving() {
    if (begun_step_ == step()) return;
    finish_saving();
    watch_->require();
    display_->set_status("saving " + checkpoint::step_name(step()));
    tell(mesh_, Command::kSave);
    worker_->save([&](const fs::path& folder) { add_files(folder); });
    begun_step_ = step();
    begun_is_best_ = std::exchange(is_best_, false);
    display_->set_status("");
  }

  void add_files(const fs::path& folder) const {
    session().write_companions(folder);
    records_->keep_unwritten(current_, folder);
  }

  enum class Old { kPrune, kKeep };

  // The save that is under way, if any.
  void finish_saving(Old old = Old::kPrune) {
    if (!worker_->is_saving()) return;
    display_->set_status("saving " + checkpoint::step_name(begun_step_));
    watch_->require();
    tell(mesh_, Command::kCommit);
    saved(worker_->commit(), old);
    display_->set_status("");
  }

  void saved(std::int64_t number, Old old) {
    saved_step_ = number;
    last_state_ = checkpoint::checkpoints_folder(output_) / checkpoint::step_name(number);
    if (std::exchange(begun_is_best_, false)) checkpoint::write_pointer(output_, checkpoint::kBest, number);
    log_.file_only("saved " + checkpoint::step_name(number));
    if (old == Old::kKeep || recipe_.checkpoint.keep == 0) return;
    const auto best = checkpoint::read_pointer(output_, checkpoint::kBest);
    checkpoint::prune(output_, static_cast<int>(recipe_.checkpoint.keep), best ? std::set<std::int64_t>{*best} : std::set<std::int64_t>{});
  }

  [[noreturn]] void interrupted() {
    finish_saving();
    end(monitor::RunState::kInterrupted, "by a signal, after saving step " + std::to_string(step()));
    log_.info("interrupted: saved " + checkpoint::step_name(step()) + "; go on with --resume latest");
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

  void fail(const std::string& why) {
    try {
      end(monitor::RunState::kFailed, why.substr(0, why.find('\n')));
    } catch (const Error&) {  // a full disk, say: what failed first is what gets reported
    }
  }

  void finish() {
    watch_->require();
    monitor::Summary summary = monitor::summarize(monitor::MetricsReader(output_).poll());
    if (session().data.sets.validation) {
      summary.evaluation = evaluate(recipe_.log.exact_match_samples);
    }
    tell(mesh_, Command::kMeasure);
    summary.peak_memory_gb = peak_memory_gb(mesh_);
    log_.info(describe_peaks(summary.peak_memory_gb));
    monitor::write_summary(output_, summary);
    if (!session().model_is_whole()) tell(mesh_, Command::kAnswer);
    if (const auto samples = answer_samples(session()); !samples.empty()) monitor::write_samples(output_, samples);
    if (recipe_.checkpoint.export_hf) {
      export_final(session(), checkpoint::checkpoints_folder(output_) / checkpoint::step_name(step()), log_);
      change_info([&](monitor::RunInfo& info) { info.exported = {step(), false}; });
    } else if (const std::string warning = export_warning(recipe_.export_folder(), former_export(), step()); !warning.empty()) {
      log_.warning(warning);
    }
    end(monitor::RunState::kFinished, "");
    const std::string asking = data::has_conversations(recipe_.data.format) ? data::asking_note(recipe_.data.instruct) : "";
    if (!asking.empty()) log_.note(asking);
    monitor::write_report(output_);
    log_.info("finished: " + std::to_string(step()) + " steps; report in " + (output_ / "report.html").string());
  }

  const Recipe& recipe_;
  fs::path output_;
  const dist::Mesh& mesh_;
  Log& log_;
  std::optional<fs::path> resumed_from_;
  std::optional<Worker> worker_;
  std::optional<FolderWatch> watch_;
  std::unique_ptr<Records> records_;
  std::unique_ptr<monitor::Display> display_;
  monitor::StepMetrics current_;
  std::int64_t begun_step_ = -1, saved_step_ = -1;  // whose save was begun, and ended
  std::optional<fs::path> last_state_;              // the checkpoint to go back to
  std::int64_t bad_in_a_row_ = 0;
  bool is_best_ = false, begun_is_best_ = false, export_will_be_outdated_ = false;
  bool state_is_sound_ = true;
};

}  // namespace

void run(const ResolvedRecipe& resolved, const RunOptions& options, const dist::Mesh& mesh, Log& log) {
  if (!mesh.leads()) return follow(resolved, mesh);
  Start start = together(mesh, [&] {
    const SharedLook look(mesh);
    return check_start(resolved, options, [&](const fs::path& step_folder) { return look.fault_of(step_folder); });
  });
  mesh.from_leader(start.resume_from ? start.resume_from->string() : "");
  Run(resolved, std::move(start), mesh, log).train();
  tell(mesh, Command::kEnd);
}

}  // namespace sluice::train
