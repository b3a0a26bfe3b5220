// What the leader of a run asks the other ranks to do along with it.
#pragma once
#include <cstdint>

#include "sluice/dist/mesh.h"

namespace sluice::train {

enum class Command : char {
  kStep = 't',         // the next step
  kSave = 's',         // write its part of a checkpoint
  kEvaluate = 'e',     // run the model over the validation set; argument: rows to answer
  kAnswer = 'a',       // answer the sample questions
  kEnd = 'x',          // nothing is left to do
  kInterrupted = 'i',  // a signal asked to stop, and all is saved
  kFailed = 'f',       // the leader says why
};

struct Order {
  Command command = Command::kStep;
  std::int64_t argument = 0;
};

void tell(const dist::Mesh& mesh, Command command, std::int64_t argument = 0);  // on the leader
Order hear(const dist::Mesh& mesh);                                             // on the others

}  // namespace sluice::train
