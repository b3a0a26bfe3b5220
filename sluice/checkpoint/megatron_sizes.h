// What a config.json of Hugging Face says about a model's tensors, as far as Megatron's layout depends on it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/base/json.h"

namespace sluice::checkpoint {

struct MegatronSizes {
  enum class Attention { kGrouped, kLatent };           // latent: DeepSeek's multi-head latent attention
  enum class ExpertNames { kMixtral, kQwen };           // block_sparse_moe.experts.E.w1 or mlp.experts.E.gate_proj
  enum class SharedExpert { kNone, kGated, kUngated };  // mlp.shared_expert with its gate, mlp.shared_experts

  std::int64_t layers = 0, hidden = 0, vocab = 0, ffn = 0;  // ffn: of dense layers
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  Attention attention = Attention::kGrouped;
  std::int64_t q_lora_rank = 0, kv_lora_rank = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;  // q_lora_rank 0: none
  bool qkv_bias = false, out_bias = false, mlp_bias = false, qk_norm = false, router_bias = false, tied = false;

  std::int64_t experts = 0, expert_ffn = 0, shared_ffn = 0;
  ExpertNames expert_names = ExpertNames::kQwen;
  SharedExpert shared_expert = SharedExpert::kNone;
  std::vector<std::int64_t> moe_layers;  // numbers of the layers that are a mixture of experts

  bool is_moe(std::int64_t layer) const;
  bool all_layers_alike() const { return moe_layers.empty() || static_cast<std::int64_t>(moe_layers.size()) == layers; }
};

// Of a Mixtral, Qwen2-MoE, Qwen3-MoE, DeepSeek-V2 or -V3, Llama, Mistral, Qwen2 or Qwen3. Error naming `where`, the key, its value and
// what is allowed: for another model_type, a key that is missing or no size, or biases that Megatron's layers do not have.
MegatronSizes megatron_sizes(const Json& config, const std::string& where);

}  // namespace sluice::checkpoint
