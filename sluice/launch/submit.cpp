#include "sluice/launch/submit.h"

#include "sluice/base/error.h"
#include "sluice/launch/tool.h"

namespace sluice::launch {
namespace {

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string accepted(const ToolResult& sbatch) {
  if (sbatch.status == 0) return trimmed(sbatch.output);
  throw Error("sbatch refuses the job: " + trimmed(sbatch.output), "mend the setting that it names; `sluice launch --slurm --dry-run` prints the script");
}

}  // namespace

void check_syntax(const std::string& script) {
  const ToolResult bash = run_tool({"bash", "-n"}, script);
  if (bash.status == kNotRun) throw Error("bash is not installed, which batch scripts are for", "install it, or write the script where it is");
  if (bash.status != 0) throw Error("bash cannot read the batch script: " + trimmed(bash.output), "look for the word that it names among the flags");
}

std::optional<std::string> test_submission(const std::string& script) {
  const ToolResult sbatch = run_tool({"sbatch", "--test-only"}, script);
  return sbatch.status == kNotRun ? std::nullopt : std::optional(accepted(sbatch));
}

std::string submit(const std::string& script) {
  const ToolResult sbatch = run_tool({"sbatch"}, script);
  if (sbatch.status == kNotRun) {
    throw Error("sbatch is not installed: there is no SLURM here to submit to", "run this on a cluster's login node; or add --dry-run for the script, or leave out --slurm for processes on this machine");
  }
  return accepted(sbatch);
}

}  // namespace sluice::launch
