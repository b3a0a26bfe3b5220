// Losses that keep the experts evenly loaded and the router's logits small.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <string_view>
#include <vector>

#include "sluice/nn/router.h"

namespace sluice::loss {

// With f_e = assignments to expert e over all k slots / tokens, P_e = mean router probability of e:
//   hf_pooled     experts * sum_e f_e P_e over the tokens of all layers together (transformers' load_balancing_loss_func; k at balance)
//   per_layer     the sum over layers of experts / k * sum_e f_e P_e (Megatron-Core's aux_loss; 1 a layer at balance)
//   per_sequence  as per_layer for each sequence by itself, then the mean over sequences (Megatron-Core's seq_aux_loss)
enum class AuxLoss { kHfPooled, kPerLayer, kPerSequence };
constexpr std::array<std::string_view, 3> names(AuxLoss) { return {"hf_pooled", "per_layer", "per_sequence"}; }

// Which tokens f and P are counted over.
enum class AuxScope { kMicroBatch, kGlobalBatch };
constexpr std::array<std::string_view, 2> names(AuxScope) { return {"micro_batch", "global_batch"}; }

// f of more tokens than the batch at hand, so that the loss does not depend on how they are cut: those of a whole global batch, from a
// counting pass, or of a micro-step on all data-parallel ranks.
struct GlobalFrequencies {
  at::Tensor frequency;  // [layers, experts], float32: f_e of each layer
  double tokens = 0;     // real tokens that it was counted over
  // For hf_pooled, where other pipeline stages have other layers: f of all layers together, and how many these are.
  at::Tensor pooled;  // [experts], float32
  std::int64_t layers = 0;
  // For per_sequence, where several ranks have tokens of one row: of each row.
  at::Tensor of_row;      // [layers, rows, experts], float32
  at::Tensor row_tokens;  // [rows, 1], float32: real tokens of each row, at least 1
  at::Tensor row;         // [tokens], int64: the row of each token at hand
};

// The unweighted loss of one batch. With `global`, its sum over the batches that were counted is their loss together; without, it is the
// batch's own.
//   records  one a mixture layer, over [rows * seq] tokens
//   real     [rows * seq] float32, 1 = real token, 0 = padding; undefined when all are real
//   returns  float32 scalar
at::Tensor load_balance(AuxLoss kind, const std::vector<nn::RouterRecord>& records, const at::Tensor& real, std::int64_t rows,
                        const GlobalFrequencies* global);

// Assignments of real tokens to each expert before any is dropped: [layers, experts], float32.
at::Tensor chosen_counts(const std::vector<nn::RouterRecord>& records, const at::Tensor& real);
// The same for each row: [layers, rows, experts].
at::Tensor chosen_counts_by_row(const std::vector<nn::RouterRecord>& records, const at::Tensor& real, const at::Tensor& row, std::int64_t rows);
// As chosen_counts, of the assignments that were carried out.
at::Tensor served_counts(const std::vector<nn::RouterRecord>& records, const at::Tensor& real);

// The sum over layers and real tokens of logsumexp(logits)^2 (ST-MoE, arXiv:2202.08906, eq. 5); the caller divides by the tokens.
at::Tensor router_z(const std::vector<nn::RouterRecord>& records, const at::Tensor& real);

}  // namespace sluice::loss
