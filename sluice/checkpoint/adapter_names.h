// By which names PEFT finds the weights of an adapter, and which versions of it do.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sluice/models/lora.h"

namespace sluice::checkpoint {

// The names of one adapter's targets in a model. PEFT knows weights by two lists: target_modules (linear modules) and target_parameters
// (parameters of any module, PEFT 0.17).
//
// transformers 5 stacks the experts that transformers 4 had one by one. For most families PEFT 0.21 follows: what target_modules calls
// gate_proj, up_proj, down_proj (Mixtral: w1, w3, w2) or gate, at the end of any path, it takes for the experts' stacked weights and the
// router. A dense MLP or a shared expert of such a model, whose matrices end in the same names, is found as a parameter alone.
class AdapterNames {
 public:
  // `architecture` is HF's model_type, `table` the whole model's. All must outlive this.
  AdapterNames(const std::vector<models::LoraTarget>& targets, const std::vector<models::TensorSpec>& table, std::string architecture);

  // The file's path of a module: as transformers 5 has it in a file with stacked experts, else the older one, which it reads too.
  std::string path(const std::string& module) const;

  // Whether PEFT finds this target's weight as a parameter.
  bool is_parameter(const models::LoraTarget& target) const;

  // PEFT's lists: the ends of paths where these name the adapter's weights and no others of the model, else whole paths.
  std::set<std::string> target_modules() const;
  std::set<std::string> target_parameters() const;

  // A module as rank_pattern and alpha_pattern call it: a parameter by its own name.
  std::string pattern(const models::LoraTarget& target, const std::string& module) const;

  // Of stacked weights: whether PEFT's wrapper of this one lies inside that of the layer's other one, path "experts.base_layer".
  bool is_inner(const models::LoraTarget& target) const;

  // Whether experts are named one by one, and PEFT on transformers 5 stacks them when it loads.
  bool has_split_experts() const;
  bool are_stacked_by_peft() const { return why_not_stacked().empty(); }

  // One sentence for the user: which versions of PEFT and transformers read the file.
  std::string readers() const;

 private:
  std::string why_not_stacked() const;
  std::vector<models::LoraTarget> possible() const;

  const std::vector<models::LoraTarget>& targets_;
  const std::vector<models::TensorSpec>& table_;
  std::string architecture_;
  bool has_fused_;
};

}  // namespace sluice::checkpoint
