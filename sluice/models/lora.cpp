#include "sluice/models/lora.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "sluice/base/nearest.h"
#include "sluice/base/rng.h"
#include "sluice/base/wildcard.h"
#include "sluice/models/multi_token.h"
#include "sluice/nn/lora.h"

namespace sluice::models {
namespace {

using Rows = nn::LowRank::Rows;

std::string without_weight(const std::string& name) { return name.ends_with(".weight") ? name.substr(0, name.size() - 7) : name; }

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

// A weight whose products nn::linear or nn::router_logits makes.
bool is_linear(const TensorSpec& spec) {
  const nn::ParameterSpec& p = spec.parameter;
  const bool other = p.name.starts_with("embedding.") || p.name.starts_with("position_embedding.") || p.name.starts_with("head.") || p.name.ends_with(".conv1d.weight");
  return p.shape.size() == 2 && p.name.ends_with(".weight") && !other;
}

LoraTarget of_matrix(const TensorSpec& spec) {
  const auto& shape = spec.parameter.shape;
  return {without_weight(spec.parameter.name) + ".lora", spec.parameter.name, Rows::kAll, 0, shape[0], shape[1], {without_weight(spec.hf[0].name)}};
}

// "model.layers.0.mlp.experts" of any of the experts' tensors.
std::string experts_path(const std::string& hf_name) { return newer_path(hf_name.substr(0, hf_name.find(".experts") + 8)); }

LoraTarget of_stacked(const TensorSpec& spec) {
  const auto& shape = spec.parameter.shape;
  const std::string module = experts_path(spec.hf[0].name) + (spec.shard == Shard::kExpertGateUp ? ".gate_up_proj" : ".down_proj");
  LoraTarget target{without_weight(spec.parameter.name) + ".lora", spec.parameter.name, Rows::kAll, shape[0], shape[1], shape[2], {module}};
  target.form = ExpertForm::kFused;
  return target;
}

// Of `each` tensors an expert, number `which`.
LoraTarget of_expert_matrices(const TensorSpec& spec, std::size_t each, std::size_t which, Rows rows) {
  const auto& shape = spec.parameter.shape;
  const std::string stem = spec.parameter.name.substr(0, spec.parameter.name.find(".experts.") + 9);
  const std::string part = rows == Rows::kGate ? "gate" : rows == Rows::kUp ? "up" : "down";
  LoraTarget target{stem + part + ".lora", spec.parameter.name, rows, shape[0], rows == Rows::kAll ? shape[1] : shape[1] / 2, shape[2], {}};
  for (std::size_t i = which; i < spec.hf.size(); i += each) target.modules.push_back(without_weight(spec.hf[i].name));
  return target;
}

void add_experts_of(const TensorSpec& spec, ExpertForm form, std::vector<LoraTarget>& out) {
  const auto experts = static_cast<std::size_t>(spec.parameter.shape[0]);
  if (form == ExpertForm::kFused || spec.hf.size() < experts) return out.push_back(of_stacked(spec));  // gpt-oss has no other form
  if (spec.hf.size() == experts) return out.push_back(of_expert_matrices(spec, 1, 0, Rows::kAll));
  out.push_back(of_expert_matrices(spec, 2, 0, Rows::kGate));
  out.push_back(of_expert_matrices(spec, 2, 1, Rows::kUp));
}

bool in_group(const LoraTarget& target, const std::string& group) {
  const std::string& ours = target.parameter;
  const bool router = ours.ends_with(".router.weight"), shared = ours.find("shared_expert") != std::string::npos;
  if (group == "router") return router;
  if (group == "experts") return target.experts > 0;
  if (group == "shared_experts") return shared;
  if (group == "attention") return ours.find(".attention.") != std::string::npos || ours.find(".delta_net.") != std::string::npos;
  if (group == "mlp") return ours.find(".mlp.") != std::string::npos;
  return group == "all-linear" && !router;
}

// PEFT's rule: a module is named by its path or by the end of its path; beside it patterns with *.
bool names(const std::string& target, const std::string& module) {
  return module == target || module.ends_with("." + target) || (target.find('*') != std::string::npos && matches_wildcard(target, module));
}

bool is_named(const LoraTarget& target, const std::string& by) {
  return in_group(target, by) || std::ranges::any_of(target.modules, [&](const std::string& module) { return names(by, module) || names(by, newer_path(module)); });
}

void add_unknown(const std::string& name, const std::vector<LoraTarget>& possible, Violations& violations) {
  std::set<std::string> known{"attention", "experts", "router", "all-linear"};
  for (const LoraTarget& target : possible) known.insert(last_part(target.modules[0]));
  const std::vector<std::string> names(known.begin(), known.end());
  violations.add("lora.target_modules has '" + name + "', which no weight of this model that can have an adapter is called",
                 "did you mean '" + nearest(name, names) + "'? The names are " + join_or(names));
}

}  // namespace

double LoraConfig::scale() const { return alpha / (use_rslora ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank)); }

void LoraConfig::check(Violations& violations) const {
  if (!use_lora) return;
  if (rank < 1) violations.add("lora.rank = " + std::to_string(rank) + " is not positive", "16 is usual");
  if (!(alpha > 0)) violations.add("lora.alpha = " + std::to_string(alpha) + " is not positive", "twice the rank is usual");
  if (!(dropout >= 0 && dropout < 1)) violations.add("lora.dropout = " + std::to_string(dropout) + " is not in [0, 1)", "0.05 is usual");
  if (target_modules.empty()) violations.add("lora.target_modules is empty: nothing would be trained", "name modules, for example [q_proj, v_proj], or [attention]");
  if (experts == ExpertForm::kFused && dropout > 0) {
    violations.add("lora.dropout = " + std::to_string(dropout) + " with lora.experts = fused: PEFT has no dropout on stacked experts, and could not go on with the adapter",
                   "set lora.dropout=0, or lora.experts=split");
  }
}

std::string newer_path(std::string module) {
  const std::string older = ".block_sparse_moe.";
  const auto at = module.find(older);
  return at == std::string::npos ? module : module.replace(at, older.size(), ".mlp.");
}

std::vector<LoraTarget> possible_targets(const std::vector<TensorSpec>& table, ExpertForm form) {
  std::vector<LoraTarget> out;
  for (const TensorSpec& spec : table) {
    if (spec.parameter.name.starts_with(kPredictor)) continue;
    if (spec.parameter.shape.size() == 3 && holds_experts(spec.shard)) add_experts_of(spec, form, out);
    else if (is_linear(spec)) out.push_back(of_matrix(spec));
  }
  return out;
}

std::vector<LoraTarget> lora_targets(const std::vector<TensorSpec>& table, const LoraConfig& config, Violations& violations) {
  const std::vector<LoraTarget> possible = possible_targets(table, config.experts);
  for (const std::string& name : config.target_modules) {
    if (std::ranges::none_of(possible, [&](const LoraTarget& target) { return is_named(target, name); })) add_unknown(name, possible, violations);
  }
  std::vector<LoraTarget> out;
  for (LoraTarget target : possible) {
    if (std::ranges::none_of(config.target_modules, [&](const std::string& name) { return is_named(target, name); })) continue;
    target.rank = config.rank;
    target.scale = config.scale();
    out.push_back(std::move(target));
  }
  return out;
}

std::vector<nn::ParameterSpec> parameter_specs(const std::vector<LoraTarget>& targets) {
  std::vector<nn::ParameterSpec> out;
  for (const LoraTarget& t : targets) {
    const auto shape = [&](std::int64_t rows, std::int64_t columns) {
      return t.experts > 0 ? std::vector<std::int64_t>{t.experts, rows, columns} : std::vector<std::int64_t>{rows, columns};
    };
    out.push_back({t.a(), shape(t.rank, t.in), nn::Init::kNormal, nn::Keep::kFloat32});
    out.push_back({t.b(), shape(t.out, t.rank), nn::Init::kZeros, nn::Keep::kFloat32});
  }
  return out;
}

void initialise(nn::ParameterStore& store, const std::vector<LoraTarget>& targets, std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const LoraTarget& target : targets) {
      const at::Generator generator = at::detail::createCPUGenerator(philox_seed(seed, hash_name(target.a()), 0));
    const double bound = 1 / std::sqrt(static_cast<double>(target.in));
    store.at(target.a()).value.detach().uniform_(-bound, bound, generator);
    store.at(target.b()).value.detach().zero_();
  }
}

void attach(nn::ParameterStore& store, const std::vector<LoraTarget>& targets, const nn::Dropout* dropout) {
  for (const LoraTarget& target : targets) {
    store.at(target.parameter).adapters.push_back({&store.at(target.a()), &store.at(target.b()), target.scale, dropout, target.rows});
  }
}

void merge(nn::ParameterStore& store, const std::vector<LoraTarget>& targets) {
  for (const LoraTarget& target : targets) {
    nn::Parameter& weight = store.at(target.parameter);
    weight.value.detach().copy_(nn::merged_value(weight));
    weight.adapters.clear();
  }
}

}  // namespace sluice::models
