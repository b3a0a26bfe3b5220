#include "sluice/parallel/model_sizes.h"

namespace sluice::parallel {

ModelSizes sizes_of(const models::ModelConfig& model) {
  ModelSizes sizes;
  sizes.layers = model.num_layers();
  sizes.heads = model.num_heads();
  sizes.experts = model.moe().num_experts;
  for (const models::TensorSpec& spec : model.tensor_table()) {
    const std::string& name = spec.parameter.name;
    const auto& shape = spec.parameter.shape;
    if (spec.kv_heads > 0) sizes.kv_heads = spec.kv_heads;
    if (name.ends_with(".mlp.down_proj.weight")) sizes.ffn = shape[1];
    if (name.ends_with(".shared_expert.down_proj.weight")) sizes.shared_ffn = shape[1];
    if (name.ends_with(".experts.down.weight")) sizes.expert_ffn = shape[2];
    if (name.ends_with(".delta_net.A_log")) {
      sizes.linear_key_heads = spec.undivided;
      sizes.linear_value_heads = shape[0];
    }
  }
  if (sizes.kv_heads == 0) sizes.kv_heads = sizes.heads;
  return sizes;
}

}  // namespace sluice::parallel
