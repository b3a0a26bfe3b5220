// The words behind `sluice launch`: its own flags, and the command whose processes it starts.
#pragma once
#include <string>
#include <vector>

#include "sluice/config/value.h"

namespace sluice::launch {

enum class RecipeCheck { kDo, kSkip };

struct Arguments {
  std::vector<config::Setting> settings;  // launch.*, of the flags
  std::vector<std::string> command;       // "train", "--config", ...; empty when there is none
  RecipeCheck recipe_check = RecipeCheck::kDo;
  bool dry_run = false, help = false;
};

// Flags are ours until the command's name; all after that is the command's. Where no command is named it is train, and what is no flag of
// ours is train's, in the order given: `--config FILE --slurm --nodes 2`. '_' equals '-' in flags. Error for a flag without its value.
Arguments parse_arguments(const std::vector<std::string>& words);

// Every flag with its meaning and default, for --help.
std::string describe_flags();

}  // namespace sluice::launch
