#include "sluice/train/follow.h"

#include <exception>

#include "sluice/base/interrupt.h"
#include "sluice/train/command.h"
#include "sluice/train/evaluation.h"
#include "sluice/train/peak_memory.h"
#include "sluice/train/resume.h"
#include "sluice/train/worker.h"

namespace sluice::train {
namespace {

void obey(const dist::Mesh& mesh, Worker& worker) {
  const InterruptGuard signals;
  std::exception_ptr failure = std::make_exception_ptr(dist::StoppedByAnotherRank{});
  // What fails on one rank in these ends the run on all: the leader says so next.
  const auto attempt = [&](const auto& work) {
    try {
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  for (;;) {
    const Order order = hear(mesh);
    switch (order.command) {
      case Command::kStep:
        worker.step();
        worker.compare_replicas();
        worker.ask(signals.interrupted());
        break;
      case Command::kSave: attempt([&] { worker.save(); }); break;
      case Command::kCommit: attempt([&] { worker.commit(); }); break;
      case Command::kRollBack: attempt([&] { worker.roll_back({}); }); break;
      case Command::kAsk: worker.ask(signals.interrupted()); break;
      case Command::kEvaluate: evaluate(worker.session(), order.argument); break;
      case Command::kAnswer: answer_samples(worker.session()); break;
      case Command::kMeasure: peak_memory_gb(mesh); break;
      case Command::kEnd: return;
      case Command::kInterrupted: throw Interrupted{};
      case Command::kFailed: std::rethrow_exception(failure);
    }
  }
}

}  // namespace

void follow(const ResolvedRecipe& resolved, const dist::Mesh& mesh) {
  Log log(LogLevel::kError);
  SessionData data = together(mesh, [&] {
    look_along(mesh);
    return open_data(resolved);
  });
  const fs::path resumed_from = mesh.from_leader("");
  Worker worker(resolved, std::move(data), mesh, log);
  together(mesh, [] { return true; });  // the leader makes the run folder
  worker.open_log();
  if (!resumed_from.empty()) worker.resume(resumed_from);
  try {
    obey(mesh, worker);
  } catch (const std::exception& error) {
    worker.note(std::string("error: ") + error.what());
    throw;
  }
}

}  // namespace sluice::train
