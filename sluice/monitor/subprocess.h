// Another program's output, with a limit on how long it may take.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace sluice::monitor {

// Runs `command` (a name looked up on PATH, or a path, and its arguments) and returns its standard output, at most 1 MiB; its standard
// error is dropped. `failure` says why there is none: it is not installed, it failed, or it took longer and was killed.
struct SubprocessResult {
  std::optional<std::string> output;
  std::string failure;
};
SubprocessResult run_program(const std::vector<std::string>& command, double timeout_s);

}  // namespace sluice::monitor
