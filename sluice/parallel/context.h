// Context parallelism: the tokens of each row are shared out over ranks. A row is cut into 2 * ranks chunks, and rank r has chunks r and
// 2 * ranks - 1 - r, so that all have as much to attend to (Llama 3, arXiv:2407.21783, section 3.3.2). Keys and values are gathered.
#pragma once
#include "sluice/dist/group.h"
#include "sluice/loss/objective.h"
#include "sluice/nn/forward.h"

namespace sluice::parallel {

class ContextRanks final : public nn::AttentionCore {
 public:
  explicit ContextRanks(const dist::Group& group) : group_(group) {}

  at::Tensor forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const nn::SequenceShape& shape,
                     const nn::AttentionOptions& options) const override;
  at::Tensor own_positions(const at::Tensor& x, const nn::SequenceShape& shape) const override;
  HeadShare head_share() const override { return {group_.rank(), group_.size()}; }
  at::Tensor split_heads(const at::Tensor& x, const nn::SequenceShape& shape) const override;
  at::Tensor join_heads(const at::Tensor& x, const nn::SequenceShape& shape) const override;

  // This rank's tokens of a batch whose `seq` is a multiple of 2 * ranks, with the counts of these.
  loss::BatchTensors own_part(const loss::BatchTensors& batch) const;

 private:
  at::Tensor own_index(std::int64_t rows, std::int64_t seq) const;  // of rows of `seq` tokens over all ranks: those of this rank, int64
  at::Tensor all_positions(const at::Tensor& x, const nn::SequenceShape& shape) const;  // own_positions and back: those of all ranks, in order
  at::Tensor by_rank(const nn::SequenceShape& shape) const;  // of all tokens: those of the first rank, those of the second, ...; int64

  const dist::Group& group_;
};

}  // namespace sluice::parallel
