#include "sluice/train/resources.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "sluice/checkpoint/dtype.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/step_folder.h"
#include "sluice/config/fields.h"
#include "sluice/monitor/numbers.h"
#include "sluice/train/parameters.h"
#include "sluice/train/rank_memory.h"

namespace sluice::train {
namespace {

using monitor::format_bytes;

constexpr std::uint64_t kFloat32Bytes = 4;

std::uint64_t count(const std::vector<std::int64_t>& shape) {
  std::uint64_t n = 1;
  for (const std::int64_t size : shape) n *= static_cast<std::uint64_t>(size);
  return n;
}

// The bytes of an exported element: weights keep the type that they came in.
std::uint64_t export_element_bytes(const Recipe& recipe) {
  const auto trained = recipe.train.precision == nn::Precision::kFloat32 ? checkpoint::DType::kF32 : checkpoint::DType::kBF16;
  return checkpoint::size_bytes(recipe.model.load.empty() ? trained : checkpoint::open_model_folder(recipe.model.load).dtype);
}

std::uint64_t bytes_of_old_checkpoints(const fs::path& output) {
  std::uint64_t total = 0;
  for (const fs::path& folder : {checkpoint::checkpoints_folder(output), output / "hf"}) {
    std::error_code failed;  // what cannot be looked at counts as staying
    for (fs::recursive_directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
      std::error_code gone;
      const std::uint64_t size = entry->is_regular_file(gone) ? entry->file_size(gone) : 0;
      if (!gone) total += size;
    }
  }
  return total;
}

}  // namespace

Footprint footprint(const ResolvedRecipe& resolved) {
  const Recipe& recipe = resolved.recipe;
  const auto frozen = frozen_by(recipe);
  const bool all_float32 = recipe.train.precision == nn::Precision::kFloat32;
  const std::uint64_t moments = recipe.optimizer.moments == optim::Moments::kFloat32 ? 2 * kFloat32Bytes : kFloat32Bytes;
  Footprint out;
  for (const nn::ParameterSpec& spec : parameters_of(resolved)) {
    const std::uint64_t elements = count(spec.shape);
    out.parameters += elements;
    if (frozen(spec.name) || spec.update == nn::Update::kRule) {
      if (!recipe.lora.use_lora) out.checkpoint_bytes += elements * (all_float32 || spec.keep != nn::Keep::kComputePrecision ? kFloat32Bytes : 2);
      continue;
    }
    out.trained += elements;
    out.checkpoint_bytes += elements * (kFloat32Bytes + moments);
  }
  const dist::GridSizes grid = parallel::grid_of(recipe.parallelism, recipe.processes);
  for (std::int64_t stage = 0; stage < grid.pipeline; ++stage) {  // whose ranks have equally much
    const RankMemory all = rank_memory(resolved, stage * grid.stage(), 0), here = in_memory(all, recipe.memory);
    out.training_bytes = std::max(out.training_bytes, here.total());
    out.offload_bytes += (all.total() - here.total()) * static_cast<std::uint64_t>(grid.stage());
  }
  if (recipe.checkpoint.export_hf) out.export_bytes = out.parameters * export_element_bytes(recipe);
  return out;
}

std::uint64_t memory_bytes() {
  const std::uint64_t machine = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
  for (const char* file : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {  // version 2, version 1
    std::uint64_t limit = 0;
    if (std::ifstream(file) >> limit) return std::min(machine, limit);  // "max" is no number: no limit
  }
  return machine;
}

Copies check_copies(const ResolvedRecipe& resolved, Violations& violations) {
  const std::uint64_t element = resolved.recipe.train.precision == nn::Precision::kFloat32 ? kFloat32Bytes : 2;
  const std::uint64_t bytes = static_cast<std::uint64_t>(resolved.model_config->cost(1).parameters) * element;
  if (bytes / static_cast<std::uint64_t>(resolved.recipe.processes) <= memory_bytes()) return Copies::kFit;  // the least that a rank may have
  violations.add("the model's weights alone take " + format_bytes(bytes) + ", before gradients and optimizer, and this machine has " + format_bytes(memory_bytes()),
                 "use a smaller model, or a machine with more memory");
  return Copies::kAreTooLarge;
}

void check_offload(const Footprint& footprint, const parallel::MemoryConfig& memory, Violations& violations) {
  if (memory.offload.empty() || memory.offload_dir.empty()) return;
  try {
    const parallel::NamelessFile trial(memory.offload_dir);
  } catch (const Error& error) {
    return violations.add(error);
  }
  const std::uint64_t free = free_disk_bytes(memory.offload_dir);
  if (footprint.offload_bytes <= free) return;
  violations.add("memory.offload = " + config::format(memory.offload) + " takes " + format_bytes(footprint.offload_bytes) + " of disk, and that of memory.offload_dir = " + memory.offload_dir + " has " +
                     format_bytes(free) + " free",
                 "free some space, offload less, or give a folder on a larger disk");
}

void check_memory(const Footprint& footprint, const Recipe& recipe, Violations& violations) {
  check_offload(footprint, recipe.memory, violations);
  if (footprint.training_bytes <= memory_bytes()) return;
  violations.add("the model's weights, gradients and optimizer take " + format_bytes(footprint.training_bytes) + " (" + std::to_string(footprint.trained) + " of " +
                     std::to_string(footprint.parameters) + " parameters are trained), and this machine has " + format_bytes(memory_bytes()),
                 "use a smaller model, freeze more of it (train.freeze), offload to a disk (memory.offload), or use a machine with more memory");
}

std::int64_t checkpoints_at_once(const Recipe& recipe, std::int64_t done, std::int64_t total_steps) {
  if (done >= total_steps) return 0;
  const auto times = [&](std::int64_t interval) { return interval > 0 ? (total_steps - 1) / interval - done / interval : 0; };  // before the last step
  const std::int64_t keep = recipe.checkpoint.keep, regular = times(recipe.checkpoint.save_interval) + 1, bests = times(recipe.train.validation_interval);
  const std::int64_t best = bests > 0 ? 1 : 0;
  return keep == 0 ? regular + best : std::min(regular + bests, keep + 1 + best);
}

DiskNeed disk_need(const Footprint& footprint, const Recipe& recipe, OldCheckpoints old, std::int64_t done, std::int64_t total_steps) {
  DiskNeed need;
  const fs::path output = recipe.output_dir;
  need.available_bytes = free_disk_bytes(output) + (old == OldCheckpoints::kAreReplaced ? bytes_of_old_checkpoints(output) : 0);
  const std::int64_t most = checkpoints_at_once(recipe, done, total_steps);
  if (most == 0) return need;
  const auto there = old == OldCheckpoints::kStay && recipe.checkpoint.keep > 0 ? static_cast<std::int64_t>(checkpoint::list_steps(output).size()) : 0;
  need.checkpoints = std::max<std::int64_t>(1, most - there);
  need.bytes = static_cast<std::uint64_t>(need.checkpoints) * footprint.checkpoint_bytes + footprint.export_bytes + checkpoint::kDiskMarginBytes;
  return need;
}

void check_disk(const DiskNeed& need, const Footprint& footprint, const Recipe& recipe, Violations& violations) {
  if (need.bytes <= need.available_bytes) return;
  const std::string several = std::to_string(need.checkpoints) + " checkpoints of " + format_bytes(footprint.checkpoint_bytes) + " at once";
  violations.add("the run takes " + format_bytes(need.bytes) + " of disk (" + (need.checkpoints == 1 ? "a checkpoint of " + format_bytes(footprint.checkpoint_bytes) : several) +
                     (footprint.export_bytes > 0 ? ", the export of " + format_bytes(footprint.export_bytes) : "") + ", a margin of " +
                     format_bytes(checkpoint::kDiskMarginBytes) + "), and the disk of " + recipe.output_dir + " has " + format_bytes(need.available_bytes) + " free",
                 "free some space, " + std::string(need.checkpoints > 1 ? "keep fewer checkpoints (checkpoint.keep=1, a larger checkpoint.save_interval), " : "") +
                     "freeze more (train.freeze), or give an --output-dir on a larger disk");
}

}  // namespace sluice::train
