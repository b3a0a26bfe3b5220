// The decoder of Llama (Touvron et al., arXiv:2302.13971) and of the model types that differ from it in sizes, biases, activations,
// head norms and sliding windows alone: Mistral, Qwen2 and Qwen3.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/models/model.h"
#include "sluice/nn/mlp.h"
#include "sluice/nn/rope.h"

namespace sluice::models {

enum class HeadNorm { kNone, kQueryAndKey };  // RMS norms over each head of queries and keys, before the rotation (Qwen3)

struct LlamaSizes {
  std::int64_t vocab = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0;
  double rms_norm_eps = 0;
  Bias qkv_bias = Bias::kNone, o_bias = Bias::kNone, mlp_bias = Bias::kNone;
  HeadNorm head_norm = HeadNorm::kNone;
  nn::Activation activation = nn::Activation::kSilu;
  bool tied_head = false;
  std::vector<std::int64_t> windows = {};  // one a layer: how many positions it sees, 0 = all
};

std::vector<TensorSpec> llama_table(const LlamaSizes& sizes);
Cost llama_cost(const LlamaSizes& sizes, std::int64_t seq);  // windows count as whole texts
void check_llama(const LlamaSizes& sizes, Violations& violations);
std::unique_ptr<Model> build_llama(const LlamaSizes& sizes, nn::RopeTable rope, nn::ParameterStore& store);

}  // namespace sluice::models
