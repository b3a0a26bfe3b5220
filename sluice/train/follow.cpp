#include "sluice/train/follow.h"

#include "sluice/base/interrupt.h"
#include "sluice/train/session.h"
#include "sluice/train/state.h"

namespace sluice::train {

void follow(const ResolvedRecipe& resolved, const dist::Mesh& mesh) {
  Log log(LogLevel::kError);
  SessionData data = together(mesh, [&] { return open_data(resolved); });
  const fs::path resumed_from = mesh.from_leader("");
  const auto session = together(mesh, [&] { return std::make_unique<Session>(resolved, std::move(data), *mesh.replica, log); });
  Progress progress;
  if (!resumed_from.empty()) progress = load_state(resumed_from, {*session->store, *session->optimizer, session->table, session->adapters, session->adapter_note()});
  const InterruptGuard signals;
  while (progress.step < session->data.total_steps) {
    ++progress.step;
    const StepResult result = session->step->gradients(session->micro_batches(progress.step));
    if (!result.finite()) throw dist::StoppedByAnotherRank{};
    session->step->update(optim::learning_rate(optim::schedule_of(resolved.recipe.optimizer, session->data.total_steps), progress.step), result.grad_norm);
    const bool last = progress.step == session->data.total_steps;
    if (!mesh.any(signals.interrupted()) || last) continue;
    mesh.world->barrier();  // until the leader has saved
    throw Interrupted{};
  }
  mesh.world->barrier();  // until the leader has evaluated, exported and reported
}

}  // namespace sluice::train
