#include "sluice/train/worker.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "sluice/config/fields.h"
#include "sluice/optim/schedule.h"
#include "sluice/train/replicas.h"

namespace sluice::train {
namespace {

class Seconds {
 public:
  double value() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
  std::string text() const {
    char out[32];
    std::snprintf(out, sizeof out, "%.3f s", value());
    return out;
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// A step as the watch sees it, if any. In a step all ranks do the same, so that one which stays away from the others' exchange for much longer than a
// step has taken hangs; between steps a rank may have work of its own.
class WatchedStep {
 public:
  WatchedStep(dist::Watch* watch, std::int64_t number, double& slowest) : watch_(watch), slowest_(slowest) {
    if (!watch_) return;
    watch_->set_step(number);
    if (slowest_ > 0) watch_->set_patience(std::max(kLeastPatience, std::chrono::milliseconds(static_cast<std::int64_t>(kSteps * 1000 * slowest_))));
  }
  ~WatchedStep() {
    if (!watch_) return;
    watch_->set_patience(dist::WatchTimes{}.patience);
    slowest_ = std::max(slowest_, taken_.value());
  }
  WatchedStep(const WatchedStep&) = delete;
  WatchedStep& operator=(const WatchedStep&) = delete;

 private:
  static constexpr std::chrono::milliseconds kLeastPatience{20'000};
  static constexpr double kSteps = 10;
  dist::Watch* watch_;
  double& slowest_;  // seconds
  const Seconds taken_;
};

}  // namespace

Worker::Worker(const ResolvedRecipe& resolved, SessionData data, const dist::Mesh& mesh, Log& log) : mesh_(mesh), rank_log_(mesh) {
  session_ = together(mesh, [&] { return std::make_unique<Session>(resolved, std::move(data), mesh, log); });
  progress_.seed = resolved.recipe.train.seed;
  progress_.data_fingerprint = session_->data.sets.train->counts().fingerprint;
}

void Worker::open_log() {
  together(mesh_, [&] {
    rank_log_.open(session_->resolved.recipe);
    return true;
  });
}

void Worker::resume(const fs::path& step_folder) {
  const Seconds taken;
  const Loaded loaded = load_state(step_folder, session_->kept());
  progress_ = loaded.progress;
  note("resumed from " + step_folder.string() + ": read " + std::to_string(loaded.bytes_read) + " bytes in " + taken.text());
}

Judgement Worker::judge(const StepResult& result) const {
  const auto& factor = session_->resolved.recipe.train.spike_factor;
  Judgement own = Judgement::kGood;
  if (!result.finite()) own = Judgement::kNotFinite;
  else if (factor && progress_.grad_norms.is_spike(result.grad_norm, *factor)) own = Judgement::kSpike;
  return static_cast<Judgement>(static_cast<int>(mesh_.world->max(static_cast<double>(own))));
}

BadStep Worker::answer_to(Judgement judgement) const {
  const TrainSection& train = session_->resolved.recipe.train;
  return judgement == Judgement::kSpike ? train.on_spike : train.on_nan;
}

TakenStep Worker::step() {
  const Seconds taken;
  TakenStep out;
  out.number = progress_.step + 1;
  rank_log_.begin_step();
  take(out);
  rank_log_.end_step(out.number);
  if (out.number % session_->resolved.recipe.log.interval == 0) note("step " + std::to_string(out.number) + ": " + taken.text());
  return out;
}

void Worker::take(TakenStep& out) {
  const Recipe& recipe = session_->resolved.recipe;
  const WatchedStep watched(mesh_.watch.get(), out.number, slowest_step_);
  out.result = session_->step->gradients(session_->micro_batches(out.number));
  out.learning_rate = optim::learning_rate(optim::schedule_of(recipe.optimizer, session_->data.total_steps), out.number);
  out.judgement = judge(out.result);
  if (out.judgement == Judgement::kGood) {
    session_->step->update(out.learning_rate, out.result.grad_norm);
    progress_.grad_norms.add(out.result.grad_norm);
  } else if (answer_to(out.judgement) == BadStep::kStop) {
    return;
  }
  progress_.step = out.number;
  progress_.data_position = out.number * recipe.global_batch_size();
}

std::string Worker::compare_replicas() const {
  const std::int64_t interval = session_->resolved.recipe.train.check_replicas_interval;
  return interval > 0 && progress_.step % interval == 0 ? find_disagreement(*session_->holders, *session_->store) : "";
}

std::string Worker::what_is_bad(const TakenStep& taken) const {
  const std::string number = "step " + std::to_string(taken.number);
  if (taken.judgement == Judgement::kNotFinite) return std::string("the ") + (std::isfinite(taken.result.losses.loss) ? "gradient norm" : "loss") + " of " + number + " is not a finite number";
  return "the gradient norm of " + number + " is a spike: " + config::format(taken.result.grad_norm) + ", more than train.spike_factor = " +
         config::format(*session_->resolved.recipe.train.spike_factor) + " times its running mean " + config::format(progress_.grad_norms.mean);
}

void Worker::roll_back(const fs::path& step_folder) {
  const Seconds taken;
  const fs::path from = mesh_.from_leader(step_folder.string());
  load_state(from, session_->kept());
  note("step " + std::to_string(progress_.step) + ": back to the weights of " + from.string() + " in " + taken.text());
}

void Worker::save(const Extra& extra) {
  const Seconds taken;
  const Recipe& recipe = session_->resolved.recipe;
  saving_.emplace(recipe.output_dir, progress_, session_->kept(), extra, recipe.checkpoint.async_save ? SaveMode::kInBackground : SaveMode::kWait);
  note("saving step " + std::to_string(progress_.step) + ": " + std::to_string(saving_->bytes()) + " bytes, held up for " + taken.text());
}

std::int64_t Worker::commit() {
  const Seconds taken;
  const std::int64_t step = saving_->step();
  try {
    saving_->commit();
  } catch (...) {
    saving_.reset();
    throw;
  }
  saving_.reset();
  note("saved step " + std::to_string(step) + ", held up for " + taken.text());
  return step;
}

std::optional<std::int64_t> Worker::commit_alone() {
  if (!saving_) return std::nullopt;
  const std::int64_t step = saving_->step();
  const bool done = saving_->commit_alone();
  saving_.reset();
  return done ? std::optional(step) : std::nullopt;
}

bool Worker::save_alone(const Extra& extra) {
  const auto alone = session_->kept_alone();
  if (!alone) return false;
  Saving(session_->resolved.recipe.output_dir, progress_, *alone, extra, SaveMode::kWait).commit();
  return true;
}

Worker::Asked Worker::ask(bool interrupted) const {
  const at::Tensor asked = at::tensor({interrupted ? 1.0F : 0.0F, saving_ && !saving_->is_written() ? 1.0F : 0.0F});
  mesh_.world->all_reduce(asked, dist::Reduce::kMax);
  return {asked[0].item<float>() > 0, asked[1].item<float>() == 0};
}

}  // namespace sluice::train
