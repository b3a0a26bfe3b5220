#include "sluice/parallel/recompute.h"

namespace sluice::parallel {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Saved : torch::CustomClassHolder {
  Saved(const models::Block& b, const nn::ForwardContext& c) : block(b), context(c) {}
  const models::Block& block;
  const nn::ForwardContext context;
};

struct RecomputeFunction : torch::autograd::Function<RecomputeFunction> {
  // Outputs: hidden, and for a mixture layer its logits, choices and served choices.
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden, const c10::intrusive_ptr<Saved>& saved) {
    context->save_for_backward({hidden});
    context->saved_data["saved"] = c10::IValue::make_capsule(saved);
    const at::NoGradGuard no_grad;
    models::BlockOutput out = saved->block.forward(hidden.detach(), saved->context);
    if (!out.router) return {out.hidden};
    // The same tensor twice among an autograd function's outputs is not allowed.
    at::Tensor served = out.router->served.is_same(out.router->chosen) ? out.router->served.clone() : out.router->served;
    context->mark_non_differentiable({out.router->chosen, served});
    return {out.hidden, out.router->logits, out.router->chosen, served};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = c10::static_intrusive_pointer_cast<Saved>(context->saved_data["saved"].toCapsule());
    const at::AutoGradMode with_grad(true);
    at::Tensor hidden = context->get_saved_variables()[0].detach().requires_grad_(true);
    const models::BlockOutput out = saved->block.forward(hidden, saved->context);
    variable_list roots{out.hidden}, root_gradients{gradients[0]};
    if (out.router && gradients[1].defined()) {
      roots.push_back(out.router->logits);
      root_gradients.push_back(gradients[1]);
    }
    torch::autograd::backward(roots, root_gradients);
    return {hidden.grad(), at::Tensor()};
  }
};

}  // namespace

models::BlockOutput recomputed(const models::Block& block, const at::Tensor& hidden, const nn::ForwardContext& context) {
  // Autograd calls backward only where an input needs a gradient; that a block's weights do, it cannot see (frozen embeddings).
  const bool unseen = at::GradMode::is_enabled() && !hidden.requires_grad();
  const at::Tensor input = unseen ? hidden.detach().requires_grad_(true) : hidden;
  const variable_list out = RecomputeFunction::apply(input, c10::make_intrusive<Saved>(block, context));
  if (out.size() == 1) return {out[0], std::nullopt};
  return {out[0], nn::RouterRecord{out[1], out[2], out[3]}};
}

}  // namespace sluice::parallel
