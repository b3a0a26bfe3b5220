// What a model calls where the ranks of a layout have to work together.
#pragma once
#include <memory>

#include "sluice/dist/mesh.h"
#include "sluice/nn/forward.h"
#include "sluice/parallel/context.h"
#include "sluice/parallel/expert.h"
#include "sluice/parallel/pipeline.h"
#include "sluice/parallel/tensor.h"

namespace sluice::parallel {

struct SeamOptions {
  bool sequence_parallel = false;
  Dispatcher dispatcher = Dispatcher::kAllToAll;
};

class LayoutSeams {
 public:
  LayoutSeams(const dist::Mesh& mesh, const Stages& stages, const SeamOptions& options);  // `mesh` and `stages` outlive this

  const nn::Seams& training() const { return training_; }
  const nn::Seams& inference() const { return inference_; }  // of any number of tokens: no split of sequences
  // This rank's tokens of a batch, and of these what its routers see.
  loss::BatchTensors own_part(const loss::BatchTensors& batch) const;
  // Rows of the residual stream of such a batch.
  std::int64_t residual_tokens(std::int64_t tokens) const { return between_ == Between::kShares ? tokens / mesh_.tensor->size() : tokens; }

 private:
  const dist::Mesh& mesh_;
  Between between_;
  TensorRanks training_region_, inference_region_;
  ContextRanks context_;
  PipelineBroadcast pipeline_;
  std::unique_ptr<nn::TokenDispatcher> dispatcher_;
  nn::Seams training_, inference_;
};

}  // namespace sluice::parallel
