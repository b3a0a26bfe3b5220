// What the leader of a run asks the other ranks to do along with it.
#pragma once
#include <cstdint>

#include "sluice/dist/mesh.h"

namespace sluice::train {

enum class Command : char {
  kStep = 't',         // the next step
  kSave = 's',         // begin to save
  kCommit = 'c',       // end the save that is under way
  kRollBack = 'b',     // weights and optimizer as in a checkpoint, whose path follows
  kAsk = 'q',          // say whether a signal has come
  kEvaluate = 'e',     // run the model over the validation set; argument: rows to answer
  kAnswer = 'a',       // answer the sample questions
  kMeasure = 'm',      // say how much memory it has had
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
