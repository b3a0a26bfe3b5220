#include "sluice/train/worker.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>

#include "sluice/config/fields.h"
#include "sluice/dist/process.h"
#include "sluice/optim/schedule.h"
#include "sluice/train/replicas.h"

namespace sluice::train {
namespace {

class Seconds {
 public:
  std::string text() const {
    char out[32];
    std::snprintf(out, sizeof out, "%.3f s", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count());
    return out;
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

std::string file_name(std::int64_t rank) {
  char name[32];
  std::snprintf(name, sizeof name, "rank-%05lld.txt", static_cast<long long>(rank));
  return name;
}

}  // namespace

Worker::Worker(const ResolvedRecipe& resolved, SessionData data, const dist::Mesh& mesh, Log& log) : mesh_(mesh) {
  session_ = together(mesh, [&] { return std::make_unique<Session>(resolved, std::move(data), mesh, log); });
  progress_.seed = resolved.recipe.train.seed;
  progress_.data_fingerprint = session_->data.sets.train->counts().fingerprint;
}

void Worker::open_log() {
  const Recipe& recipe = session_->resolved.recipe;
  if (mesh_.world->alone() || !recipe.log.rank_files) return;
  together(mesh_, [&] {
    const fs::path folder = fs::path(recipe.output_dir) / "logs";
    fs::create_directories(folder);
    own_log_.open_file(folder / file_name(mesh_.rank));
    return true;
  });
  const dist::Place& place = mesh_.place;
  note("rank " + std::to_string(mesh_.rank) + " of " + std::to_string(mesh_.world->size()) + ", host " + dist::this_process().host + ", process " + std::to_string(getpid()) + ": tensor " +
       std::to_string(place.tensor) + ", context " + std::to_string(place.context) + ", data " + std::to_string(place.data) + ", pipeline " + std::to_string(place.pipeline) + ", expert " + std::to_string(place.expert));
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
  const Recipe& recipe = session_->resolved.recipe;
  TakenStep out;
  out.number = progress_.step + 1;
  if (mesh_.watch) mesh_.watch->set_step(out.number);
  out.result = session_->step->gradients(session_->micro_batches(out.number));
  out.learning_rate = optim::learning_rate(optim::schedule_of(recipe.optimizer, session_->data.total_steps), out.number);
  out.judgement = judge(out.result);
  if (out.judgement == Judgement::kGood) {
    session_->step->update(out.learning_rate, out.result.grad_norm);
    progress_.grad_norms.add(out.result.grad_norm);
  } else if (answer_to(out.judgement) == BadStep::kStop) {
    return out;
  }
  progress_.step = out.number;
  progress_.data_position = out.number * recipe.global_batch_size();
  if (out.number % recipe.log.interval == 0) note("step " + std::to_string(out.number) + ": " + taken.text());
  return out;
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
