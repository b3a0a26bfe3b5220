// The decoders of Gemma (arXiv:2403.08295) and Gemma 2 (arXiv:2408.00118). Both scale the embedding, store norm weights around zero and
// gate with a tanh GELU as released; Gemma 2 also norms what attention and feed-forward give, and caps scores and logits.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/models/model.h"
#include "sluice/nn/mlp.h"
#include "sluice/nn/rope.h"

namespace sluice::models {

enum class GemmaBlockKind { kTwoNorms, kFourNorms };  // Gemma, Gemma 2

struct GemmaSizes {
  GemmaBlockKind block = GemmaBlockKind::kTwoNorms;
  std::int64_t vocab = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0;
  double rms_norm_eps = 0;
  Bias attention_bias = Bias::kNone;
  nn::Activation activation = nn::Activation::kGeluTanh;
  bool tied_head = true;
  double logit_softcap = 0;                           // 0 = none
  std::vector<nn::AttentionOptions> attention = {};  // one a layer
};

std::vector<TensorSpec> gemma_table(const GemmaSizes& sizes);
Cost gemma_cost(const GemmaSizes& sizes, std::int64_t seq);  // windows count as whole texts
void check_gemma(const GemmaSizes& sizes, Violations& violations);
std::unique_ptr<Model> build_gemma(const GemmaSizes& sizes, nn::RopeTable rope, nn::ParameterStore& store);

}  // namespace sluice::models
