#include "sluice/checkpoint/adapter_names.h"

#include <algorithm>
#include <array>
#include <map>

namespace sluice::checkpoint {
namespace {

using models::ExpertForm;
using models::LoraTarget;
using Rows = nn::LowRank::Rows;

// PEFT's table of families whose target_modules it rewrites for transformers 5 (peft/utils/transformers_weight_conversion.py of 0.21).
// Qwen2-MoE is stacked as well, and not in it.
constexpr std::array<const char*, 7> kRewritten{"mixtral", "qwen3_moe", "qwen3_next", "deepseek_v2", "deepseek_v3", "glm4_moe", "olmoe"};

// Those of them whose routers are linear modules on transformers 4. All other routers hold a parameter on 4 or 5 that PEFT finds as such alone.
constexpr std::array<const char*, 4> kLinearRouters{"mixtral", "qwen3_moe", "qwen3_next", "olmoe"};

bool is_rewritten(const std::string& architecture) { return std::ranges::find(kRewritten, architecture) != kRewritten.end(); }

bool is_router(const LoraTarget& target) { return target.parameter.ends_with(".router.weight"); }

bool is_split(const LoraTarget& target) { return target.experts > 0 && !target.is_fused(); }

std::string last_parts(const std::string& path, int count) {
  std::size_t at = path.size();
  for (; count > 0 && at != std::string::npos && at > 0; --count) at = path.rfind('.', at - 1);
  return at == std::string::npos ? path : path.substr(at + 1);
}

// What transformers 4 calls matrices of experts, at the end of a path.
bool ends_like_an_expert(const std::string& module) {
  static constexpr std::array<const char*, 3> kMatrices{"gate_proj", "up_proj", "down_proj"};
  return std::ranges::find(kMatrices, last_parts(module, 1)) != kMatrices.end();
}

// Whether `end` names none of `others`, as PEFT matches: whole, or by whole parts at the end.
bool names_none(const std::string& end, const std::set<std::string>& others) {
  return std::ranges::none_of(others, [&](const std::string& name) { return name == end || name.ends_with("." + end); });
}

}  // namespace

AdapterNames::AdapterNames(const std::vector<LoraTarget>& targets, const std::vector<models::TensorSpec>& table, std::string architecture)
    : targets_(targets), table_(table), architecture_(std::move(architecture)), has_fused_(std::ranges::any_of(targets, &LoraTarget::is_fused)) {}

std::string AdapterNames::path(const std::string& module) const { return has_fused_ ? models::newer_path(module) : module; }

bool AdapterNames::is_parameter(const LoraTarget& target) const {
  if (target.experts > 0) return target.is_fused();
  if (is_router(target)) return has_fused_ || std::ranges::find(kLinearRouters, architecture_) == kLinearRouters.end();
  return is_rewritten(architecture_) && ends_like_an_expert(target.modules[0]);
}

// In both forms of experts: a name must not mean those either.
std::vector<LoraTarget> AdapterNames::possible() const {
  std::vector<LoraTarget> all = models::possible_targets(table_, ExpertForm::kSplit);
  std::ranges::copy_if(models::possible_targets(table_, ExpertForm::kFused), std::back_inserter(all), &LoraTarget::is_fused);
  return all;
}

std::set<std::string> AdapterNames::target_modules() const {
  std::set<std::string> chosen, others;
  for (const LoraTarget& target : targets_) {
    if (is_parameter(target)) continue;
    for (const std::string& module : target.modules) chosen.insert(path(module));
  }
  for (const LoraTarget& target : possible()) {
    if (target.is_fused()) continue;
    for (const std::string& module : target.modules) {
      const bool stacked_there = has_fused_ && target.experts > 0;
      if (!stacked_there && !chosen.contains(path(module))) others.insert(path(module));
    }
  }
  return models::shortest_names(chosen, others);
}

std::set<std::string> AdapterNames::target_parameters() const {
  std::set<std::string> chosen, others, out;
  for (const LoraTarget& target : targets_) {
    if (is_parameter(target)) chosen.insert(pattern(target, target.modules[0]));
  }
  for (const LoraTarget& target : possible()) {
    for (const std::string& module : target.modules) {
      const std::string name = target.is_fused() ? path(module) : path(module) + ".weight";
      if (!chosen.contains(name)) others.insert(name);
    }
  }
  for (const std::string& name : chosen) {
    int parts = 2;
    while (last_parts(name, parts) != name && !names_none(last_parts(name, parts), others)) ++parts;
    out.insert(last_parts(name, parts));
  }
  return out;
}

std::string AdapterNames::pattern(const LoraTarget& target, const std::string& module) const {
  return is_parameter(target) && !target.is_fused() ? path(module) + ".weight" : path(module);
}

bool AdapterNames::is_inner(const LoraTarget& target) const {
  // PEFT wraps gate_up_proj first where both are adapted.
  return target.modules[0].ends_with(".gate_up_proj") && std::ranges::any_of(targets_, [&](const LoraTarget& other) {
    return other.is_fused() && other.modules[0] == target.experts_module() + ".down_proj";
  });
}

bool AdapterNames::has_split_experts() const { return std::ranges::any_of(targets_, is_split); }

std::string AdapterNames::why_not_stacked() const {
  if (!is_rewritten(architecture_)) return "which stacks these experts, and no PEFT does the same to their adapters";
  std::map<std::string, std::set<Rows>> layers;  // by the stacked weight, which the layer's gate and up share
  std::set<std::pair<std::int64_t, double>> sizes;
  bool has_down = false;
  for (const LoraTarget& target : targets_) {
    if (!is_split(target)) continue;
    if (target.rows == Rows::kAll) has_down = true;
    else layers[target.parameter].insert(target.rows);
    sizes.emplace(target.rank, target.scale);
  }
  if (std::ranges::any_of(layers, [](const auto& layer) { return layer.second.size() == 1; })) return "where gate and up are one weight: adapt both";
  if (!layers.empty() && !has_down) return "where PEFT looks for gate and up behind the adapter of down: adapt all three";
  if (sizes.size() > 1) return "where PEFT gives all experts one rank and scale";
  return "";
}

std::string AdapterNames::readers() const {
  if (has_fused_) return "stacked experts: PEFT 0.17 or newer with transformers 5 reads it";
  const bool parameters = std::ranges::any_of(targets_, [&](const LoraTarget& target) { return is_parameter(target); });
  const std::string newer = parameters ? "PEFT 0.17 or newer" : "PEFT", older = newer + " with transformers 4 reads it", both = older + ", and PEFT 0.21 or newer with transformers 5";
  if (has_split_experts()) {
    if (const std::string why = why_not_stacked(); !why.empty()) return "experts one by one: " + older + ", none with transformers 5, " + why + "; `sluice merge` makes a model for both";
    return "experts one by one: " + both;
  }
  const bool renamed = std::ranges::any_of(targets_, [&](const LoraTarget& target) { return is_router(target) && !is_parameter(target); });
  return renamed ? both : (parameters ? newer : "any PEFT") + " reads it";
}

}  // namespace sluice::checkpoint
