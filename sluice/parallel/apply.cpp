#include "sluice/parallel/apply.h"

#include <torch/csrc/autograd/custom_function.h>

namespace sluice::parallel {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

enum class Edge { kInput, kOutput };

// The hidden states as they are; the backward pass tells the watcher when it comes by: at a block's output before it runs through the block,
// at its input after that.
struct TellFunction : torch::autograd::Function<TellFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden, models::BlockWatcher* watcher, std::int64_t layer, Edge edge) {
    context->saved_data["watcher"] = reinterpret_cast<std::int64_t>(watcher);
    context->saved_data["layer"] = layer;
    context->saved_data["at_input"] = edge == Edge::kInput;
    return hidden;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    auto* watcher = reinterpret_cast<models::BlockWatcher*>(context->saved_data["watcher"].toInt());
    const std::int64_t layer = context->saved_data["layer"].toInt();
    if (context->saved_data["at_input"].toBool()) watcher->after_backward(layer);
    else watcher->before_backward(layer);
    return {gradients[0], {}, {}, {}};
  }
};

// A router that the holder of a block has, or has not.
void share_router(const nn::PipelineRanks& pipeline, std::int64_t block, std::vector<nn::RouterRecord>& routers, bool found_here) {
  const nn::RouterRecord here = found_here ? routers.back() : nn::RouterRecord{};
  const at::Tensor scoring = pipeline.from_holder(block, found_here ? at::full({1}, static_cast<std::int64_t>(here.scoring), at::kLong) : at::Tensor());
  if (!scoring.defined()) return;
  const nn::RouterRecord shared{pipeline.from_holder(block, here.logits), pipeline.from_holder(block, here.chosen), pipeline.from_holder(block, here.served),
                                static_cast<nn::Scoring>(scoring.item<std::int64_t>())};
  if (!found_here) routers.push_back(shared);
}

// Each rank of the pipeline runs its blocks when their turn comes, and all go on with what it found.
Pass forward_over_ranks(const models::Model& model, const at::Tensor& ids, const nn::ForwardContext& context, const nn::PipelineRanks& pipeline) {
  const auto blocks = static_cast<std::int64_t>(model.blocks().size());
  Pass pass;
  at::Tensor hidden = pipeline.from_holder(-1, pipeline.holds(-1) ? model.embed(ids, context) : at::Tensor());
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::size_t before = pass.routers.size();
    if (pipeline.holds(block)) hidden = run_blocks(model, {block, block + 1}, hidden, context, {}, pass.routers);
    if (pipeline.holder_of(-1) != pipeline.holder_of(blocks)) share_router(pipeline, block, pass.routers, pass.routers.size() > before);
    if (pipeline.holder_of(block) != pipeline.holder_of(block + 1)) hidden = pipeline.from_holder(block, hidden);
  }
  pass.hidden = pipeline.from_holder(blocks, pipeline.holds(blocks) ? model.final_norm(hidden) : at::Tensor());
  return pass;
}

}  // namespace

at::Tensor run_blocks(const models::Model& model, const LayerRange& range, at::Tensor hidden, const nn::ForwardContext& context, const Activations& activations,
                      std::vector<nn::RouterRecord>& routers) {
  models::BlockWatcher* watcher = model.watcher();
  for (std::int64_t layer = range.begin; layer < range.end; ++layer) {
    const models::Block& block = *model.blocks()[static_cast<std::size_t>(layer)];
    if (watcher) watcher->before_forward(layer);
    if (watcher && hidden.requires_grad()) hidden = TellFunction::apply(hidden, watcher, layer, Edge::kInput);
    models::BlockOutput out = forward_block(block, hidden, context, activations, layer - range.begin);
    hidden = std::move(out.hidden);
    if (out.router) routers.push_back(std::move(*out.router));
    if (watcher && hidden.requires_grad()) hidden = TellFunction::apply(hidden, watcher, layer, Edge::kOutput);
    if (watcher) watcher->after_forward(layer);
  }
  return hidden;
}

Pass forward(const models::Model& model, const at::Tensor& ids, const nn::ForwardContext& context, const Activations& activations) {
  if (context.seams.pipeline) return forward_over_ranks(model, ids, context, *context.seams.pipeline);
  Pass pass;
  const at::Tensor hidden = model.embed(ids, context);
  pass.hidden = model.final_norm(run_blocks(model, {0, static_cast<std::int64_t>(model.blocks().size())}, hidden, context, activations, pass.routers));
  return pass;
}

}  // namespace sluice::parallel
