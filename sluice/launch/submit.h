// Batch scripts and the programs that read them.
#pragma once
#include <optional>
#include <string>

namespace sluice::launch {

// Error when `script` is not what bash reads.
void check_syntax(const std::string& script);

// What SLURM says of `script` without taking it (`sbatch --test-only`). Nothing where sbatch is not installed; Error when it refuses.
std::optional<std::string> test_submission(const std::string& script);

// Submits `script`; what sbatch says: "Submitted batch job 7". Error when it is not installed, or refuses.
std::string submit(const std::string& script);

}  // namespace sluice::launch
