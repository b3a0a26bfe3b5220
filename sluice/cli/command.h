// The subcommands: one row each, one file each.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "sluice/base/log.h"

namespace sluice::cli {

using Arguments = std::vector<std::string>;  // what follows the subcommand's name

struct Command {
  std::string name, summary;
  std::function<int(const Arguments&, Log&)> run;  // returns the exit status; throws Error for what the user can fix
};

const std::vector<Command>& commands();

// Folders in which recipes are found by name: the program's own, wherever it was built or installed.
std::vector<fs::path> recipe_folders();
// The program's data: the question classifier's weights and the bundled questions.
fs::path data_folder();

}  // namespace sluice::cli
