#include "sluice/train/follow.h"

#include "sluice/base/interrupt.h"
#include "sluice/optim/schedule.h"
#include "sluice/train/command.h"
#include "sluice/train/evaluation.h"
#include "sluice/train/session.h"
#include "sluice/train/state.h"

namespace sluice::train {

void follow(const ResolvedRecipe& resolved, const dist::Mesh& mesh) {
  Log log(LogLevel::kError);
  SessionData data = together(mesh, [&] { return open_data(resolved); });
  const fs::path resumed_from = mesh.from_leader("");
  const auto session = together(mesh, [&] { return std::make_unique<Session>(resolved, std::move(data), mesh, log); });
  Progress progress;
  if (!resumed_from.empty()) progress = load_state(resumed_from, session->kept());
  const InterruptGuard signals;
  for (;;) {
    const Order order = hear(mesh);
    switch (order.command) {
      case Command::kStep: {
        const StepResult result = session->step->gradients(session->micro_batches(++progress.step));
        if (!result.finite()) {
          --progress.step;  // the leader says so, and keeps what was before
          break;
        }
        session->step->update(optim::learning_rate(optim::schedule_of(resolved.recipe.optimizer, session->data.total_steps), progress.step), result.grad_norm);
        mesh.any(signals.interrupted());
        break;
      }
      case Command::kSave: save_state({}, progress, session->kept(), {}); break;
      case Command::kEvaluate: evaluate(*session, order.argument); break;
      case Command::kAnswer: answer_samples(*session); break;
      case Command::kEnd: return;
      case Command::kInterrupted: throw Interrupted{};
      case Command::kFailed: throw dist::StoppedByAnotherRank{};
    }
  }
}

}  // namespace sluice::train
