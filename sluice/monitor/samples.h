// samples.json: a few questions and what the trained model answered, for the report.
#pragma once
#include <string>
#include <vector>

#include "sluice/base/file.h"

namespace sluice::monitor {

// `expected`, `expert_label` (the question's own) and `routed_label` (read back from the router) may be empty: then it is left out.
struct SampleAnswer {
  std::string question, answer, expected, expert_label, routed_label;
};

// RUN/samples.json: a list of objects with those keys. Reading gives an empty list when the run has none; Error when it is not that.
void write_samples(const fs::path& run_folder, const std::vector<SampleAnswer>& samples);
std::vector<SampleAnswer> read_samples(const fs::path& run_folder);

}  // namespace sluice::monitor
