// The processes that run one command together.
#pragma once
#include <functional>

#include "sluice/base/log.h"
#include "sluice/dist/mesh.h"
#include "sluice/dist/rendezvous.h"

namespace sluice::cli {

// The processes that torchrun, srun or `sluice launch` started, not yet laid out; or this one alone.
dist::Mesh meet(const dist::Rendezvous& here);

// Runs `work` on every rank that torchrun, srun or `sluice launch` started, over a mesh that is not yet laid out; or in this process alone, over its
// own. What ranks other than the leader print while they work goes nowhere. Returns what `work` does: the exit status.
int on_ranks(Log& log, const std::function<int(dist::Mesh& mesh)>& work);

// For what all ranks do alike and with exchanges between them, once what could fail on one alone is done (dist::together): an Error is the leader's
// to say, and ends the others without a word.
void alike(const dist::Mesh& mesh, const std::function<void()>& work);

}  // namespace sluice::cli
