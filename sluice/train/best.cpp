#include "sluice/train/best.h"

#include <algorithm>

#include "sluice/checkpoint/step_folder.h"

namespace sluice::train {
namespace {

bool has_step(const fs::path& run, std::int64_t step) {
  return std::ranges::any_of(checkpoint::list_steps(run), [&](const auto& folder) { return folder.step == step && !folder.fault; });
}

}  // namespace

bool is_of_run(const fs::path& step_folder, const fs::path& run) {
  std::error_code elsewhere;
  return fs::equivalent(fs::absolute(step_folder).parent_path(), checkpoint::checkpoints_folder(run), elsewhere);
}

std::string settle_pointers(const fs::path& run, const fs::path& step_folder, Progress& progress) {
  const bool own = is_of_run(step_folder, run);
  if (own) checkpoint::write_pointer(run, checkpoint::kLatest, progress.step);
  if (own && progress.best_step > 0 && has_step(run, progress.best_step)) {
    checkpoint::write_pointer(run, checkpoint::kBest, progress.best_step);
    return "";
  }
  const std::int64_t former = progress.best_step;
  progress.best_step = 0;
  progress.best_validation_loss.reset();
  std::error_code none;  // there may be no pointer, and no folder of checkpoints yet
  fs::remove(checkpoint::checkpoints_folder(run) / checkpoint::kBest, none);
  if (former == 0) return "";
  return "the best checkpoint so far, " + checkpoint::step_name(former) + ", is not among this run's: the best is found anew, from the next validation on";
}

}  // namespace sluice::train
