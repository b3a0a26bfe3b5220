// A run's model against its validation set. Where ranks hold parts of the model, all of them come here together.
#pragma once
#include <vector>

#include "sluice/monitor/evaluation.h"
#include "sluice/monitor/samples.h"
#include "sluice/train/session.h"

namespace sluice::train {

// `generated_rows`: questions or conversations to answer.
monitor::Evaluation evaluate(const Session& session, std::int64_t generated_rows);

// Some questions of the validation set, answered; of format qa alone, else none.
std::vector<monitor::SampleAnswer> answer_samples(const Session& session);

}  // namespace sluice::train
