#include "sluice/parallel/seams.h"

#include <ATen/ATen.h>

namespace sluice::parallel {
namespace {

nn::Seams seams(const TensorRanks& region, const dist::Mesh& mesh, const nn::TokenDispatcher& dispatcher, const nn::AttentionCore& attention) {
  const nn::Seams& local = nn::local_seams();
  return {mesh.tensor->alone() ? local.tensor : region, mesh.experts->alone() && mesh.rows->alone() ? local.dispatcher : dispatcher, attention};
}

}  // namespace

LayoutSeams::LayoutSeams(const dist::Mesh& mesh, const Stages& stages, const SeamOptions& options)
    : mesh_(mesh), between_(options.sequence_parallel ? Between::kShares : Between::kAllTokens), training_region_(*mesh.tensor, between_),
      inference_region_(*mesh.tensor, Between::kAllTokens), context_(*mesh.context), pipeline_(mesh, stages),
      dispatcher_(make_dispatcher(options.dispatcher, *mesh.experts, mesh.sizes.expert_tensor, *mesh.rows)),
      training_(seams(training_region_, mesh, *dispatcher_, mesh.context->alone() ? nn::local_seams().attention : context_)),
      inference_(seams(inference_region_, mesh, *dispatcher_, nn::local_seams().attention)) {
  const bool replicas_work_together = mesh.experts->size() > mesh.tensor->size();
  if (!mesh.pipeline->alone() || replicas_work_together) inference_.pipeline = &pipeline_;
}

loss::BatchTensors LayoutSeams::own_part(const loss::BatchTensors& batch) const {
  if (mesh_.rows->alone()) return batch;
  loss::BatchTensors out = mesh_.context->alone() ? batch : context_.own_part(batch);
  if (out.real.defined()) out.routed_real = training_region_.share(out.real);
  out.routed_label = training_region_.share(out.expert_label);
  out.routed_row = training_region_.share(at::arange(out.shape.rows).repeat_interleave(out.shape.seq));
  return out;
}

}  // namespace sluice::parallel
