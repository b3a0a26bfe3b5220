// Multi-token prediction as DeepSeek-V3 and GLM-4.5 store it (arXiv:2412.19437, section 2.2): one more block, under the layer index that
// follows the last, between a projection of [embedding of the next token, final hidden state] and a norm; embedding and head are the
// model's own.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "sluice/models/model.h"
#include "sluice/models/tensor_table.h"
#include "sluice/nn/linear.h"

namespace sluice::models {

inline const std::string kPredictor = "mtp.0.";  // before our names of its parameters

// HF's prefix of it: "model.layers.61.".
std::string hf_predictor(std::int64_t num_hidden_layers);

// Whether a checkpoint, HF's or native, has it.
bool holds_predictor(const std::function<bool(const std::string& name)>& has_tensor, std::int64_t num_hidden_layers);

// Adds norms and projection; the caller adds the block. Checkpoints hold embedding and head again under its prefix: `table`, which has
// both already, gets these copies.
void add_predictor(std::vector<TensorSpec>& table, std::int64_t num_hidden_layers, std::int64_t hidden);

class BlockPredictor final : public MultiTokenPredictor {
 public:
  // `embedding` belongs to the model, and `eps` is that of its norms.
  BlockPredictor(nn::ParameterStore& store, const nn::Parameter& embedding, double eps, std::unique_ptr<Block> block);
  BlockOutput forward(const at::Tensor& hidden, const at::Tensor& next_ids, const nn::ForwardContext& context) const override;

 private:
  const nn::Parameter &embedding_, &embedding_norm_, &hidden_norm_, &norm_;
  nn::Linear projection_;
  double eps_;
  std::unique_ptr<Block> block_;
};

}  // namespace sluice::models
