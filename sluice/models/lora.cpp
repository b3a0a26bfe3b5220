#include "sluice/models/lora.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <span>

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
  const std::string module = experts_path(spec.hf[0].name) + (spec.shard == Shard::kExpertColumns ? ".down_proj" : ".gate_up_proj");
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

// How many of the target's modules one of `by` names: of split experts one each.
std::int64_t modules_named(const LoraTarget& target, std::span<const std::string> by) {
  return std::ranges::count_if(target.modules, [&](const std::string& module) {
    return std::ranges::any_of(by, [&](const std::string& name) { return names(name, module) || names(name, newer_path(module)); });
  });
}

bool is_named(const LoraTarget& target, const std::string& by) {
  return in_group(target, by) || modules_named(target, {&by, 1}) > 0;
}

// The experts of a layer have adapters together: a name for some of them would quietly mean all.
void check_whole_layers(const std::vector<LoraTarget>& possible, const std::vector<std::string>& asked, Violations& violations) {
  std::set<std::string> reported;
  for (const LoraTarget& target : possible) {
    if (target.modules.size() < 2 || std::ranges::any_of(asked, [&](const std::string& name) { return in_group(target, name); })) continue;
    const std::int64_t named = modules_named(target, asked);
    if (named == 0 || named == target.experts) continue;
    const auto by = std::ranges::find_if(asked, [&](const std::string& name) { return modules_named(target, {&name, 1}) > 0; });
    if (!reported.insert(*by).second) continue;
    const std::string part = last_part(target.modules[0]);
    violations.add("lora.target_modules has '" + *by + "', which names " + std::to_string(named) + " of the " + std::to_string(target.experts) + " experts of " +
                       target.modules[0].substr(0, target.modules[0].find(".experts.") + 8) + ": the experts of a layer have adapters together",
                   "name all of them, by " + part + " or *.experts.*." + part + ", or none");
  }
}

void add_unknown(const std::string& name, const std::vector<LoraTarget>& possible, Violations& violations) {
  static constexpr std::array<const char*, 6> kGroups{"attention", "mlp", "experts", "shared_experts", "router", "all-linear"};
  std::set<std::string> known;
  for (const char* group : kGroups) {
    if (std::ranges::any_of(possible, [&](const LoraTarget& target) { return in_group(target, group); })) known.insert(group);
  }
  const bool is_group = std::ranges::find(kGroups, name) != kGroups.end();
  for (const LoraTarget& target : possible) known.insert(last_part(target.modules[0]));
  const std::vector<std::string> all(known.begin(), known.end());
  if (is_group) return violations.add("lora.target_modules has '" + name + "', and this model has none of these", "the names are " + join_or(all));
  violations.add("lora.target_modules has '" + name + "', which no weight of this model that can have an adapter is called",
                 "did you mean '" + nearest(name, all) + "'? The names are " + join_or(all));
}

struct PairShards {
  Shard a, b;
};

PairShards shards_of(const LoraTarget& target, Shard weight) {
  switch (weight) {
    case Shard::kColumns: return {Shard::kColumns, Shard::kReplicated};
    case Shard::kExpertColumns: return {Shard::kExpertColumns, Shard::kExperts};
    case Shard::kExpertRows: return {Shard::kExperts, Shard::kExpertRows};
    case Shard::kExpertGateUp: return {Shard::kExperts, target.rows == Rows::kAll ? Shard::kExpertGateUp : Shard::kExpertRows};
    default: return {Shard::kReplicated, weight};  // rows, by heads or segments, or nothing
  }
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
  check_whole_layers(possible, config.target_modules, violations);
  std::vector<LoraTarget> out;
  for (LoraTarget target : possible) {
    if (std::ranges::none_of(config.target_modules, [&](const std::string& name) { return is_named(target, name); })) continue;
    target.rank = config.rank;
    target.scale = config.scale();
    out.push_back(std::move(target));
  }
  return out;
}

std::set<std::string> shortest_names(const std::set<std::string>& chosen, const std::set<std::string>& others) {
  std::set<std::string> ends;
  for (const std::string& path : chosen) ends.insert(last_part(path));
  const auto means_another = [&](const std::string& end) { return std::ranges::any_of(others, [&](const std::string& path) { return names(end, path); }); };
  return std::ranges::any_of(ends, means_another) ? chosen : ends;
}

std::vector<std::string> names_of(const std::vector<LoraTarget>& targets, const std::vector<TensorSpec>& table, ExpertForm form) {
  std::set<std::string> chosen, others;
  for (const LoraTarget& target : targets) chosen.insert(target.modules.begin(), target.modules.end());
  for (const LoraTarget& target : possible_targets(table, form)) {
    std::ranges::copy_if(target.modules, std::inserter(others, others.end()), [&](const std::string& module) { return !chosen.contains(module); });
  }
  const auto names = shortest_names(chosen, others);
  return {names.begin(), names.end()};
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

std::vector<TensorSpec> adapter_table(const std::vector<LoraTarget>& targets, const std::vector<TensorSpec>& table) {
  std::map<std::string, const TensorSpec*> weights;
  for (const TensorSpec& spec : table) weights[spec.parameter.name] = &spec;
  const std::vector<nn::ParameterSpec> parameters = parameter_specs(targets);  // a, b, a, b, ...
  std::vector<TensorSpec> out;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const TensorSpec& weight = *weights.at(targets[i].parameter);
    const PairShards shards = shards_of(targets[i], weight.shard);
    const auto add = [&](const nn::ParameterSpec& parameter, Shard shard) { out.push_back({parameter, shard, {}, {}, weight.kv_heads, weight.undivided, weight.segments}); };
    add(parameters[2 * i], shards.a);
    add(parameters[2 * i + 1], shards.b);
  }
  return out;
}

void initialise(nn::ParameterStore& store, const std::vector<LoraTarget>& targets, std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (const LoraTarget& target : targets) {
    const nn::Parameter& a = store.at(target.a());
    if (a.spec.is_elsewhere()) continue;
    const at::Generator generator = at::detail::createCPUGenerator(philox_seed(seed, hash_name(target.a()), 0));
    const double bound = 1 / std::sqrt(static_cast<double>(target.in));
    nn::copy_part(a.spec, at::empty(a.spec.whole_shape()).uniform_(-bound, bound, generator), a.value.detach());
    store.at(target.b()).value.detach().zero_();
  }
}

void attach(nn::ParameterStore& store, const std::vector<LoraTarget>& targets, const nn::Dropout* dropout) {
  for (const LoraTarget& target : targets) {
    store.at(target.parameter).adapters.push_back({&store.at(target.a()), &store.at(target.b()), target.scale, dropout, target.rows});
  }
}

std::vector<MergedWeight> merge(nn::ParameterStore& store, const std::vector<LoraTarget>& targets, at::ScalarType written) {
  std::set<std::string> weights;
  for (const LoraTarget& target : targets) weights.insert(target.parameter);
  std::vector<MergedWeight> out;
  for (const std::string& name : weights) {
    nn::Parameter& weight = store.at(name);
    const at::Tensor value = weight.value.detach(), merged = nn::merged_value(weight);
    const at::Tensor arrived = merged.to(written).to(at::kFloat) - value.to(written).to(at::kFloat);
    out.push_back({name, nn::merged_change(weight).norm().item<double>(), arrived.norm().item<double>()});
    value.copy_(merged);
    weight.adapters.clear();
  }
  return out;
}

std::string rounding_warning(const std::vector<MergedWeight>& merged, const std::string& written) {
  std::vector<std::string> lost;
  for (const MergedWeight& weight : merged) {
    if (mostly_lost(weight.added, weight.arrived)) lost.push_back(weight.name);
  }
  if (lost.empty()) return "";
  return "of the " + std::to_string(merged.size()) + " weights that have adapters, " + std::to_string(lost.size()) + " (" + lost[0] + (lost.size() > 1 ? ", ..." : "") +
         ") took less than half of what was added, the rest is lost to rounding in " + written + ": merge the run again in a wider type, `sluice merge --dtype fp32`";
}

}  // namespace sluice::models
