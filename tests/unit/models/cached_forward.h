// The two ways through a model that must agree: all tokens at once, and a prompt followed by one token after another with the cache.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/models/model.h"
#include "sluice/nn/forward.h"

namespace sluice::models {

// A model with random float32 weights.
class RandomModel {
 public:
  explicit RandomModel(const ModelConfig& config) : store_(parameter_specs(config.tensor_table())) {
    store_.allocate_for_training(nn::Precision::kFloat32, [](const std::string&) { return false; });
    store_.initialise(5, 0.2);
    const at::NoGradGuard no_grad;
    for (nn::Parameter& p : store_.all()) {  // none keeps a 0 or 1 that would hide it
      if (p.spec.init != nn::Init::kNormal) p.value.add_(0.2 * at::sin(at::arange(p.value.numel(), at::kFloat)).view(p.value.sizes()));
    }
    model_ = config.build(store_);
  }

  // ids [rows, seq] -> logits [rows, seq, vocab]; key_mask bool [rows, seq], undefined = all real
  at::Tensor logits(const at::Tensor& ids, const at::Tensor& key_mask = {}) const {
    const at::NoGradGuard no_grad;
    return forward(ids, {{ids.size(0), ids.size(1), key_mask, {}, {}}, nn::local_seams(), nn::Mode::kInference});
  }

  // The same, `prompt` tokens at once and then one by one.
  at::Tensor cached_logits(const at::Tensor& ids, std::int64_t prompt) const {
    const at::NoGradGuard no_grad;
    nn::KvCache cache = model_->make_cache(ids.size(0), ids.size(1));
    std::vector<at::Tensor> parts;
    for (std::int64_t begin = 0, count = prompt; begin < ids.size(1); begin += count, count = 1) {
      nn::ForwardContext context{{ids.size(0), count, {}, {}, {}}, nn::local_seams(), nn::Mode::kInference};
      context.cache = &cache;
      parts.push_back(forward(ids.narrow(1, begin, count), context));
      cache.length += count;
    }
    return at::cat(parts, 1);
  }

 private:
  at::Tensor forward(const at::Tensor& ids, const nn::ForwardContext& context) const {
    at::Tensor hidden = model_->embed(ids.reshape({-1}), context);
    for (const auto& block : model_->blocks()) hidden = block->forward(hidden, context).hidden;
    return nn::head_logits(model_->final_norm(hidden), model_->head()).view({ids.size(0), ids.size(1), -1});
  }

  nn::ParameterStore store_;
  std::unique_ptr<Model> model_;
};

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

inline at::Tensor random_ids(std::int64_t rows, std::int64_t seq, std::int64_t vocab) {
  at::manual_seed(3);
  return at::randint(vocab, {rows, seq}, at::kLong);
}

}  // namespace sluice::models
