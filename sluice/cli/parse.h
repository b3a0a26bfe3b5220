// Parsing a subcommand's flags by CLI11, with our errors.
#pragma once
#include <CLI/CLI.hpp>

#include "sluice/cli/command.h"

namespace sluice::cli {

enum class Parsed { kRun, kHelpShown };

// Parses into what the options of `app` are bound to; '_' equals '-' in the names of flags. `--help` prints to standard output. Error,
// with the nearest flag, for one that `app` does not have; Error for a value that is missing or of the wrong kind.
Parsed parse(CLI::App& app, const Arguments& arguments);

// Error when `option` was given though it has no effect here: "--top-p has no effect REASON".
void forbid(const CLI::Option* option, const std::string& reason, const std::string& remedy);

}  // namespace sluice::cli
