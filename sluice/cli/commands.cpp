#include "sluice/cli/bench.h"
#include "sluice/cli/command.h"
#include "sluice/cli/config.h"
#include "sluice/cli/convert.h"
#include "sluice/cli/data.h"
#include "sluice/cli/doctor.h"
#include "sluice/cli/eval.h"
#include "sluice/cli/generate.h"
#include "sluice/cli/launch.h"
#include "sluice/cli/logits.h"
#include "sluice/cli/merge.h"
#include "sluice/cli/monitor.h"
#include "sluice/cli/recipes.h"
#include "sluice/cli/tokenize.h"
#include "sluice/cli/train.h"

namespace sluice::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> all{
      {"train", "train a model by a recipe", run_train},
      {"launch", "start a run's processes, here or through SLURM", run_launch},
      {"convert", "between Hugging Face's, native and Megatron's layouts of weights", run_convert},
      {"merge", "LoRA adapters into the base weights", run_merge},
      {"generate", "continue prompts with a trained model", run_generate},
      {"logits", "write a model's logits for given tokens", run_logits},
      {"eval", "loss, exact match and routing on held-out rows", run_eval},
      {"tokenize", "text to token ids and back, a JSON object a line", run_tokenize},
      {"data", "label, balance, split and describe questions; train tokenizers and classifiers", run_data},
      {"monitor", "watch a run in the terminal", run_monitor},
      {"bench", "measure training and generation on the benchmark model", run_bench},
      {"recipes", "list and show recipes", run_recipes},
      {"config", "recipes from other systems' configuration files", run_config},
      {"doctor", "what this machine has", run_doctor},
  };
  return all;
}

namespace {

// `name` of the checkout that the program lies in (build/release/sluice), which may have moved since it was built; else of the one that it
// was built from.
fs::path of_checkout(const char* name) {
  constexpr int kLevels = 3;
  std::error_code failed;
  fs::path folder = fs::read_symlink("/proc/self/exe", failed);
  for (int level = 0; level < kLevels && !failed; ++level) {
    folder = folder.parent_path();
    if (fs::is_directory(folder / "recipes") && fs::is_directory(folder / name)) return folder / name;
  }
  return fs::path(SLUICE_HOME) / name;
}

}  // namespace

fs::path data_folder() { return of_checkout("data"); }

std::vector<fs::path> recipe_folders() { return {of_checkout("recipes")}; }

}  // namespace sluice::cli
