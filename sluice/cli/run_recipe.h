// A run folder's own config.yaml as the recipe to go on by.
#pragma once
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/config/value.h"

namespace sluice::cli {

// The run folder that `--resume PATH` names: PATH, or the run that the step folder PATH lies in. Empty where it has no config.yaml, and for
// "latest".
fs::path run_of(const std::string& resume);

// The settings that the run was last started with, without those that are as by default, and the folder as output_dir: it may have moved.
std::vector<config::Setting> recipe_of_run(const fs::path& run);

}  // namespace sluice::cli
