// Programs that are started for their answer: bash, sbatch, this program's own dry run.
#pragma once
#include <string>
#include <vector>

namespace sluice::launch {

inline constexpr int kNotRun = 127;  // exit status where there is no such program, as shells have it

struct ToolResult {
  int status = 0;      // exit status, 128 + N for signal N
  std::string output;  // standard output and error together
};

// Runs `words`, the program looked up on PATH, with `input` as its standard input. Error when no process can be started.
ToolResult run_tool(const std::vector<std::string>& words, const std::string& input);

// Runs `words` as a process that is no rank of anything, all that it prints on our standard error; its exit status.
int run_alone(const std::vector<std::string>& words);

}  // namespace sluice::launch
