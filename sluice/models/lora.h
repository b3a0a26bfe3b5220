// Which weights of a model get low-rank adapters, and what Hugging Face's PEFT calls them.
#pragma once
#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/models/tensor_table.h"

namespace sluice::models {

// How the adapters of experts are kept in a file.
//   split  one pair for each of an expert's matrices, as PEFT has them on transformers 4's modules (experts.3.w1)
//   fused  one pair for the stacked weights of all experts, PEFT's target_parameters on transformers 5 (experts.gate_up_proj)
enum class ExpertForm { kSplit, kFused };
constexpr std::array<std::string_view, 2> names(ExpertForm) { return {"split", "fused"}; }

// The `lora` section of a recipe.
struct LoraConfig {
  bool use_lora = false;
  std::int64_t rank = 16;
  double alpha = 32, dropout = 0.05;
  bool use_rslora = false;
  std::vector<std::string> target_modules{"attention"};
  ExpertForm experts = ExpertForm::kSplit;
  std::string adapter;
  std::string resumed_adapter;  // no setting: on resume the checkpoint, which holds the adapter as it has become

  void fields(auto&& field) {
    field("use_lora", use_lora, "Train low-rank adapters; the model's own weights stay as they are.");
    field("rank", rank, "Rank of each adapter.");
    field("alpha", alpha, "Scale: what an adapter adds is multiplied by alpha / rank.");
    field("dropout", dropout, "Probability with which each input of an adapter is left out while training.");
    field("use_rslora", use_rslora, "Multiply by alpha / sqrt(rank) instead (rank-stabilised, arXiv:2312.03732).");
    field("target_modules", target_modules,
          "HF's module names (q_proj, w1, ...), patterns with *, or groups: attention, mlp, experts, shared_experts, router, all-linear.");
    field("experts", experts, "split: an adapter for each expert's matrices; fused: one for the stacked weights, as PEFT has on transformers 5.");
    field("adapter", adapter, "Begin with this adapter: PEFT's folder, or a run that trained one; its rank, alpha and targets hold.");
  }
  // Where the adapter to begin with is read; empty = new ones.
  const std::string& adapter_folder() const { return resumed_adapter.empty() ? adapter : resumed_adapter; }
  double scale() const;
  void check(Violations& violations) const;
};

// One adapter: a pair of low-rank matrices beside a weight.
struct LoraTarget {
  std::string name;       // of the pair: "layers.0.attention.q_proj.lora", "layers.0.experts.gate.lora"; a is name + "_a", b name + "_b"
  std::string parameter;  // the weight: "layers.0.attention.q_proj.weight"
  nn::LowRank::Rows rows = nn::LowRank::Rows::kAll;
  std::int64_t experts = 0, out = 0, in = 0;  // experts: 0 = the weight is one matrix
  // HF's path: of a matrix one, "model.layers.0.self_attn.q_proj"; of split experts one each; of fused ones the stacked parameter's,
  // "model.layers.0.mlp.experts.gate_up_proj".
  std::vector<std::string> modules;
  ExpertForm form = ExpertForm::kSplit;
  std::int64_t rank = 0;
  double scale = 1;

  bool is_fused() const { return experts > 0 && form == ExpertForm::kFused; }
  // Of stacked experts the module that holds them, "model.layers.0.mlp.experts".
  std::string experts_module() const { return modules[0].substr(0, modules[0].rfind('.')); }
  std::string a() const { return name + "_a"; }
  std::string b() const { return name + "_b"; }
};

// Every weight that can have an adapter, with experts in the given form; rank and scale unset. Embeddings, heads, norms and multi-token
// predictors have none.
std::vector<LoraTarget> possible_targets(const std::vector<TensorSpec>& table, ExpertForm form);

// Those that `config` names. Violations for a name that no module has, and for one that names some experts of a layer and not all.
std::vector<LoraTarget> lora_targets(const std::vector<TensorSpec>& table, const LoraConfig& config, Violations& violations);

// The last parts of `chosen` paths where these mean none of `others` (a name means each path that it is, or is the end of), else the paths.
std::set<std::string> shortest_names(const std::set<std::string>& chosen, const std::set<std::string>& others);

// What lora.target_modules has to be for these targets.
std::vector<std::string> names_of(const std::vector<LoraTarget>& targets, const std::vector<TensorSpec>& table, ExpertForm form);

// The module's path as transformers 5 has it, where that differs: Mixtral's block_sparse_moe is mlp there.
std::string newer_path(std::string module);

std::vector<nn::ParameterSpec> parameter_specs(const std::vector<LoraTarget>& targets);

// The same parameters with how they are split, as the weights of `table` are: b by the rows that its weight is split by, and a is held whole; or a
// by the columns, and b is held whole. A rank's part of a pair makes its part of the product, in a sum over the ranks as the weight's own.
std::vector<TensorSpec> adapter_table(const std::vector<LoraTarget>& targets, const std::vector<TensorSpec>& table);

// As PEFT begins: a uniform in +-1 / sqrt(in), b zero, so that nothing is added at first. From (seed, name) alone, whatever parts are held here.
void initialise(nn::ParameterStore& store, const std::vector<LoraTarget>& targets, std::uint64_t seed);

// From now on products with the targets' weights add what the adapters say. `dropout` may be null, else outlives the store's use.
void attach(nn::ParameterStore& store, const std::vector<LoraTarget>& targets, const nn::Dropout* dropout);

// What merging did to one weight: Euclidean norms of what its adapters add, and of what is left of that in the type it is written in.
struct MergedWeight {
  std::string name;
  double added = 0, arrived = 0;
};

// Adds the adapters into the weights themselves, and detaches them. `written` is the type that the weights will be stored in.
std::vector<MergedWeight> merge(nn::ParameterStore& store, const std::vector<LoraTarget>& targets, at::ScalarType written);

// Whether less than half of a change outlived rounding.
inline bool mostly_lost(double added, double arrived) { return added > 0 && arrived < added / 2; }

// One sentence where weights lost most of what was added to rounding in the type `written`; else empty.
std::string rounding_warning(const std::vector<MergedWeight>& merged, const std::string& written);

}  // namespace sluice::models
