// A few held-out questions answered by the trained model, for the report.
#pragma once
#include "sluice/base/file.h"
#include "sluice/train/session.h"

namespace sluice::train {

// Answers up to two held-out questions of each category greedily and writes samples.json, with the label that the router reads each as where
// routing is supervised; nothing where the data has no questions.
void write_sample_answers(const Session& session, const fs::path& run_folder);

}  // namespace sluice::train
