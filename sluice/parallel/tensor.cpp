#include "sluice/parallel/tensor.h"

#include <ATen/ATen.h>

#include "sluice/nn/recompute.h"
#include "sluice/parallel/collectives.h"

namespace sluice::parallel {

at::Tensor TensorRanks::enter(const at::Tensor& hidden) const {
  if (between_ == Between::kAllTokens) return hidden;
  const at::Tensor all = gather_rows(hidden, group_);
  if (nn::recomputes(nn::Module::kLayerNorm)) {  // what enters is what a norm gave: kept whole it would cost more than the norm
    nn::forget({all}, {hidden}, [&group = group_](const nn::Tensors& in) { return nn::Tensors{gather_rows(in[0], group)}; });
  }
  return all;
}

at::Tensor TensorRanks::leave(const at::Tensor& partial) const {
  return between_ == Between::kShares ? scatter_sum(partial, group_) : sum_both_ways(partial, group_);
}

at::Tensor TensorRanks::leave_whole(const at::Tensor& whole) const { return between_ == Between::kShares ? share(whole) : whole; }

at::Tensor TensorRanks::own_tokens(const at::Tensor& hidden) const { return between_ == Between::kShares ? hidden : share(hidden); }

at::Tensor TensorRanks::all_tokens(const at::Tensor& own, std::int64_t tokens) const {
  return between_ == Between::kShares || group_.alone() ? own : gather_rows(own, group_).narrow(0, 0, tokens);
}

// Generation has tokens that do not divide: the last ranks' shares end in zeros.
at::Tensor TensorRanks::share(const at::Tensor& x) const {
  if (group_.alone()) return x;
  const std::int64_t tokens = x.size(0), each = (tokens + group_.size() - 1) / group_.size();
  at::Tensor padded = x;
  if (each * group_.size() > tokens) {
    std::vector<std::int64_t> shape = x.sizes().vec();
    shape[0] = each * group_.size() - tokens;
    padded = at::cat({x, at::zeros(shape, x.options().requires_grad(false))}, 0);
  }
  return padded.narrow(0, group_.rank() * each, each);
}

}  // namespace sluice::parallel
