#include "sluice/nn/recompute.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "sluice/base/error.h"

namespace sluice::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local const std::vector<Module>* modules_here = nullptr;

struct Saved : torch::CustomClassHolder {
  explicit Saved(Computation c) : compute(std::move(c)) {}
  const Computation compute;
};

struct RecomputeFunction : torch::autograd::Function<RecomputeFunction> {
  static variable_list forward(AutogradContext* context, at::TensorList inputs, const c10::intrusive_ptr<Saved>& saved) {
    context->save_for_backward(inputs.vec());
    context->saved_data["saved"] = c10::IValue::make_capsule(saved);
    const at::NoGradGuard no_grad;
    variable_list plain, unlike;
    for (const at::Tensor& input : inputs) plain.push_back(input.detach());
    variable_list out = saved->compute(plain);
    for (std::size_t i = 0; i < out.size(); ++i) {  // the same tensor twice among an autograd function's outputs is not allowed
      if (std::any_of(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(i), [&](const at::Tensor& other) { return other.is_same(out[i]); })) out[i] = out[i].clone();
      if (!out[i].is_floating_point()) unlike.push_back(out[i]);
    }
    context->mark_non_differentiable(unlike);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = c10::static_intrusive_pointer_cast<Saved>(context->saved_data["saved"].toCapsule());
    const at::AutoGradMode with_grad(true);
    variable_list inputs;
    for (const at::Tensor& input : context->get_saved_variables()) inputs.push_back(input.detach().requires_grad_(input.requires_grad()));
    const variable_list out = saved->compute(inputs);
    variable_list roots, root_gradients;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (!gradients[i].defined() || !out[i].requires_grad()) continue;
      roots.push_back(out[i]);
      root_gradients.push_back(gradients[i]);
    }
    if (!roots.empty()) torch::autograd::backward(roots, root_gradients);
    variable_list result;
    for (const at::Tensor& input : inputs) result.push_back(input.grad());
    result.emplace_back();
    return result;
  }
};

// Results that are computed again once, for all that ask for one of them.
struct Again {
  std::vector<std::function<at::Tensor()>> inputs;
  Computation compute;
  Tensors results;

  at::Tensor bytes(std::size_t i) {
    if (results.empty()) {
      const at::NoGradGuard no_grad;
      Tensors values;
      for (const auto& input : inputs) values.push_back(input().detach());
      results = compute(values);
    }
    return storage_bytes(results[i]);
  }
};

Computation on_one(const std::function<at::Tensor(const at::Tensor&)>& compute) {
  return [compute](const Tensors& inputs) { return Tensors{compute(inputs[0])}; };
}

}  // namespace

Recomputing::Recomputing(std::vector<Module> modules, Keeper* keeper) : modules_(std::move(modules)), keeping_(keeper) { modules_here = &modules_; }
Recomputing::~Recomputing() { modules_here = nullptr; }

bool recomputes(Module module) { return modules_here && at::GradMode::is_enabled() && std::ranges::find(*modules_here, module) != modules_here->end(); }

Tensors recomputed(const Tensors& inputs, const Computation& compute) {
  // Autograd calls backward only where an input needs a gradient; that parameters do, it cannot see (frozen embeddings).
  const bool unseen = at::GradMode::is_enabled() && std::ranges::none_of(inputs, [](const at::Tensor& input) { return input.requires_grad(); });
  Tensors seen = inputs;
  if (unseen) seen[0] = inputs[0].detach().requires_grad_(true);
  return RecomputeFunction::apply(at::TensorList(seen), c10::make_intrusive<Saved>(compute));
}

void forget(const Tensors& results, const Tensors& inputs, const Computation& compute) {
  Keeping* const keeping = Keeping::current();
  SLUICE_CHECK(keeping != nullptr, "results are forgotten within Recomputing alone");
  const auto again = std::make_shared<Again>();
  again->compute = compute;
  for (const at::Tensor& input : inputs) again->inputs.push_back(keeping->keep(input));
  for (std::size_t i = 0; i < results.size(); ++i) keeping->forget(results[i], [again, i] { return again->bytes(i); });
}

Tensors forgotten(const Tensors& inputs, const Computation& compute) {
  const Tensors out = recomputed(inputs, compute);
  forget(out, inputs, compute);
  return out;
}

Tensors recomputed(Module module, const Tensors& inputs, const Computation& compute) { return recomputes(module) ? recomputed(inputs, compute) : compute(inputs); }
Tensors forgotten(Module module, const Tensors& inputs, const Computation& compute) { return recomputes(module) ? forgotten(inputs, compute) : compute(inputs); }

at::Tensor recomputed(Module module, const at::Tensor& input, const std::function<at::Tensor(const at::Tensor&)>& compute) {
  return recomputes(module) ? recomputed(Tensors{input}, on_one(compute))[0] : compute(input);
}

at::Tensor forgotten(Module module, const at::Tensor& input, const std::function<at::Tensor(const at::Tensor&)>& compute) {
  return recomputes(module) ? forgotten(Tensors{input}, on_one(compute))[0] : compute(input);
}

at::Tensor for_module(const at::Tensor& x) { return x.requires_grad() ? x.view_as(x) : x; }

}  // namespace sluice::nn
