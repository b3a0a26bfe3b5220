#include "sluice/models/multi_token.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/nn/norm.h"

namespace sluice::models {
namespace {

TensorSpec& row(std::vector<TensorSpec>& table, const std::string& name) {
  const auto found = std::ranges::find_if(table, [&](const TensorSpec& spec) { return spec.parameter.name == name; });
  SLUICE_CHECK(found != table.end(), "no row " + name);
  return *found;
}

}  // namespace

std::string hf_predictor(std::int64_t num_hidden_layers) { return "model.layers." + std::to_string(num_hidden_layers) + "."; }

bool holds_predictor(const std::function<bool(const std::string& name)>& has_tensor, std::int64_t num_hidden_layers) {
  return has_tensor(hf_predictor(num_hidden_layers) + "eh_proj.weight") || has_tensor(kPredictor + "projection.weight");
}

void add_predictor(std::vector<TensorSpec>& table, std::int64_t num_hidden_layers, std::int64_t hidden) {
  const std::string hf = hf_predictor(num_hidden_layers);
  const bool tied = std::ranges::none_of(table, [](const TensorSpec& spec) { return spec.parameter.name == "head.weight"; });
  row(table, "embedding.weight").hf_copies.push_back(hf + "embed_tokens.weight");
  row(table, tied ? "embedding.weight" : "head.weight").hf_copies.push_back(hf + "shared_head.head.weight");
  table.push_back(whole(norm(kPredictor + "embedding_norm.weight", hidden), Shard::kReplicated, hf + "enorm.weight"));
  table.push_back(whole(norm(kPredictor + "hidden_norm.weight", hidden), Shard::kReplicated, hf + "hnorm.weight"));
  add_linear(table, kPredictor + "projection", hf + "eh_proj", hidden, 2 * hidden, Shard::kReplicated);
  table.push_back(whole(norm(kPredictor + "norm.weight", hidden), Shard::kReplicated, hf + "shared_head.norm.weight"));
}

BlockPredictor::BlockPredictor(nn::ParameterStore& store, const nn::Parameter& embedding, double eps, std::unique_ptr<Block> block)
    : embedding_(embedding), embedding_norm_(store.at(kPredictor + "embedding_norm.weight")), hidden_norm_(store.at(kPredictor + "hidden_norm.weight")),
      norm_(store.at(kPredictor + "norm.weight")), projection_(store, kPredictor + "projection"), eps_(eps), block_(std::move(block)) {}

BlockOutput BlockPredictor::forward(const at::Tensor& hidden, const at::Tensor& next_ids, const nn::ForwardContext& context) const {
  const at::ScalarType precision = projection_.weight().value.scalar_type();
  const at::Tensor next = nn::rms_norm(context.seams.tensor.leave(nn::embedding(next_ids, embedding_)), embedding_norm_, eps_, precision);
  const at::Tensor joined = at::cat({next, nn::rms_norm(hidden, hidden_norm_, eps_, precision)}, 1);  // [tokens, 2 * hidden]
  BlockOutput out = block_->forward(projection_.forward(joined).to(at::kFloat), context);
  return {nn::rms_norm(out.hidden, norm_, eps_, precision), std::move(out.router)};
}

}  // namespace sluice::models
