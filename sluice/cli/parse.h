// Parsing a subcommand's flags by CLI11, with our errors.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>

#include "sluice/cli/command.h"

namespace sluice::cli {

enum class Parsed { kRun, kHelpShown };

// Parses into what the options of `app` are bound to; '_' equals '-' in the names of flags. `--help` prints to standard output. Error,
// with the nearest flag, for one that `app` does not have; Error for a value that is missing or of the wrong kind.
Parsed parse(CLI::App& app, const Arguments& arguments);

// What a flag's value must be; the error says so in words. CLI11's own checks print the limits of double, and take -1 for a large number.
CLI::Validator whole_number(std::uint64_t least);
CLI::Validator number_above(double limit);
CLI::Validator number_between(double least, double most);

// Error when `option` was given though it has no effect here: "--top-p has no effect REASON".
void forbid(const CLI::Option* option, const std::string& reason, const std::string& remedy);

}  // namespace sluice::cli
