#include <ATen/core/Tensor.h>

#include "sluice/nn/attention.h"
#include "sluice/nn/experts.h"
#include "sluice/nn/forward.h"

namespace sluice::nn {
namespace {

class NoTensorRegion final : public TensorRegion {
 public:
  at::Tensor enter(const at::Tensor& hidden) const override { return hidden; }
  at::Tensor leave(const at::Tensor& partial) const override { return partial; }
  at::Tensor leave_whole(const at::Tensor& whole) const override { return whole; }
  at::Tensor own_tokens(const at::Tensor& hidden) const override { return hidden; }
  at::Tensor all_tokens(const at::Tensor& own, std::int64_t) const override { return own; }
  at::Tensor share(const at::Tensor& x) const override { return x; }
  void sum(const at::Tensor&) const override {}
  void max(const at::Tensor&) const override {}
};

class LocalDispatcher final : public TokenDispatcher {
 public:
  at::Tensor forward(const at::Tensor& hidden, const Routing& routing, const Experts& experts, const std::function<void()>& meanwhile) const override {
    at::Tensor out = experts.forward(hidden, routing);
    if (meanwhile) meanwhile();
    return out;
  }
  void drop_beyond_capacity(Routing& routing, const at::Tensor& real, double factor) const override {
    nn::drop_beyond_capacity(routing, real, routing.logits.size(1), factor);
  }
};

class LocalAttention final : public AttentionCore {
 public:
  at::Tensor forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape,
                     const AttentionOptions& options) const override {
    return causal_attention(query, key, value, shape, options);
  }
  at::Tensor own_positions(const at::Tensor& x, const SequenceShape&) const override { return x; }
  HeadShare head_share() const override { return {}; }
  at::Tensor split_heads(const at::Tensor& x, const SequenceShape&) const override { return x; }
  at::Tensor join_heads(const at::Tensor& x, const SequenceShape&) const override { return x; }
};

}  // namespace

Positions positions_of(const SequenceShape& shape, std::int64_t first) {
  if (shape.positions.defined()) return {shape.seq, first, shape.positions};
  if (shape.documents.empty()) return {shape.seq, first, {}};
  std::vector<std::int64_t> of_token;
  for (std::size_t i = 0; i + 1 < shape.documents.size(); ++i) {
    for (std::int64_t at = 0; at < shape.documents[i + 1] - shape.documents[i]; ++at) of_token.push_back(at);
  }
  return {shape.seq, first, at::tensor(of_token, at::kLong)};
}

const Seams& local_seams() {
  static const NoTensorRegion tensor;
  static const LocalDispatcher dispatcher;
  static const LocalAttention attention;
  static const Seams seams{tensor, dispatcher, attention};
  return seams;
}

}  // namespace sluice::nn
