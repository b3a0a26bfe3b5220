#include "sluice/generate/layout.h"

#include <algorithm>
#include <numeric>
#include <regex>
#include <string>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/parallel/model_sizes.h"

namespace sluice::generate {
namespace {

using parallel::ParallelismConfig;

constexpr std::size_t kLayoutsNamed = 3, kLayoutsLookedAt = 1000;

ParallelismConfig filled_in(ParallelismConfig config, std::int64_t layers, std::int64_t processes) {
  const std::int64_t stages = config.pipeline_model_parallel_size, experts = config.expert_model_parallel_size;
  if (!config.expert_tensor_parallel_size && experts > 1) {
    config.expert_tensor_parallel_size = std::clamp<std::int64_t>(processes / stages / experts, 1, config.tensor_model_parallel_size);
  }
  if (layers % stages != 0 && layers > stages) {
    for (std::int64_t stage = 0; stage < stages; ++stage) config.pipeline_layers.push_back(layers / stages + (stage < layers % stages ? 1 : 0));
  }
  return config;
}

// The processes that hold the model once: as few as have both its matrices and its experts in whole numbers of parts.
std::int64_t processes_of(const ParallelismConfig& config) {
  return config.pipeline_model_parallel_size * std::lcm(config.tensor_model_parallel_size, config.expert_tensor_size() * config.expert_model_parallel_size);
}

std::string flags_of(const ParallelismConfig& config) {
  std::string out;
  const auto add = [&](const char* flag, std::int64_t size) {
    if (size > 1) out += std::string(out.empty() ? "" : " ") + flag + " " + std::to_string(size);
  };
  add("--tensor-model-parallel-size", config.tensor_model_parallel_size);
  add("--pipeline-model-parallel-size", config.pipeline_model_parallel_size);
  add("--expert-model-parallel-size", config.expert_model_parallel_size);
  return out;
}

bool fits(const ParallelismConfig& config, const parallel::Job& job) {
  Violations violations;
  parallel::check(config, job, violations);
  return violations.empty() && processes_of(config) == job.processes;
}

// "; 4 processes hold the model once with A; or with B", or nothing.
std::string advice(const ParallelismConfig& asked, const parallel::Job& job) {
  std::vector<std::string> named;
  for (ParallelismConfig layout : parallel::nearest_layouts(asked, job, kLayoutsLookedAt)) {
    if (layout.context_parallel_size > 1) continue;
    layout.expert_tensor_parallel_size = std::nullopt;
    layout.pipeline_layers.clear();
    const std::string flags = flags_of(layout);
    if (flags.empty() || std::ranges::find(named, flags) != named.end() || !fits(filled_in(layout, job.model->layers, job.processes), job)) continue;
    named.push_back(flags);
    if (named.size() == kLayoutsNamed) break;
  }
  std::string out;
  for (const std::string& flags : named) out += (out.empty() ? "; " + std::to_string(job.processes) + " processes hold the model once with " : "; or with ") + flags;
  return out;
}

// The rules of layout.h speak of a recipe's settings, and name layouts that have copies of the model.
std::string in_flags(const std::string& text) {
  static const std::regex other_layouts("; on [0-9]+ processes everything fits with[^\n]*"), setting("parallelism\\.([a-z_]+)");
  return std::regex_replace(std::regex_replace(text, other_layouts, ""), setting, "--$1");
}

void require_one_copy(const ParallelismConfig& config, std::int64_t processes, Violations& violations) {
  const std::int64_t needed = processes_of(config);
  if (processes == needed) return;
  const std::string flags = flags_of(config);
  violations.add(std::to_string(processes) + " processes were started, and the model is held once by " + std::to_string(needed) + (flags.empty() ? "" : " with " + flags),
                 "start " + std::to_string(needed));
}

}  // namespace

ParallelismConfig layout_of(const models::ModelConfig& model, const ParallelismConfig& asked, std::int64_t processes) {
  const parallel::Job job{processes, parallel::sizes_of(model), 1, std::nullopt};
  const ParallelismConfig config = filled_in(asked, model.num_layers(), processes);
  Violations violations;
  parallel::check(config, job, violations);
  if (violations.empty()) require_one_copy(config, processes, violations);
  try {
    violations.raise("the layout of the model");
  } catch (const Error& error) {
    throw Error(in_flags(error.problem()), in_flags(error.remedy()) + advice(asked, job));
  }
  return config;
}

}  // namespace sluice::generate
