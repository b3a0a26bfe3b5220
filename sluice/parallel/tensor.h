// Tensor parallelism (Shoeybi et al., arXiv:1909.08053), with sequence parallelism (Korthikanti et al., arXiv:2205.05198) or without.
#pragma once
#include "sluice/dist/group.h"
#include "sluice/nn/forward.h"

namespace sluice::parallel {

// Between the regions each rank of the group has all tokens, or in a sequence split its share of them, neighbours in order.
enum class Between { kAllTokens, kShares };

// Whichever it is, each rank finds a part of every gradient between the regions, and of that of every weight that it holds whole: the sum over
// the ranks is the gradient. So no gradient needs to be summed between the regions, and all weights are treated alike.
class TensorRanks final : public nn::TensorRegion {
 public:
  TensorRanks(const dist::Group& group, Between between) : group_(group), between_(between) {}

  at::Tensor enter(const at::Tensor& hidden) const override;
  at::Tensor leave(const at::Tensor& partial) const override;
  at::Tensor leave_whole(const at::Tensor& whole) const override;
  at::Tensor own_tokens(const at::Tensor& hidden) const override;
  at::Tensor all_tokens(const at::Tensor& own, std::int64_t tokens) const override;
  at::Tensor share(const at::Tensor& x) const override;
  void sum(const at::Tensor& values) const override { group_.all_reduce(values, dist::Reduce::kSum); }
  void max(const at::Tensor& values) const override { group_.all_reduce(values, dist::Reduce::kMax); }

 private:
  const dist::Group& group_;
  Between between_;
};

}  // namespace sluice::parallel
