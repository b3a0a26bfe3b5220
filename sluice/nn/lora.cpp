#include "sluice/nn/lora.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "sluice/base/rng.h"

namespace sluice::nn {
namespace {

// x with elements left out, the others larger by as much as that takes on average. `expert` tells the experts' draws apart.
at::Tensor dropped_out(const at::Tensor& x, const LowRank& change, std::int64_t expert) {
  if (!change.dropout || !change.dropout->active || change.dropout->rate == 0) return x;
  const Dropout& d = *change.dropout;
  const at::Generator generator = at::detail::createCPUGenerator(philox_seed(d.seed ^ hash_name(change.a->spec.name), d.pass, static_cast<std::uint64_t>(expert)));
  const at::Tensor kept = at::empty(x.sizes(), x.options().requires_grad(false)).bernoulli_(1 - d.rate, generator);
  return x * (kept / (1 - d.rate));
}

at::Tensor product(const at::Tensor& x, const LowRank& change, const at::Tensor& a, const at::Tensor& b, std::int64_t expert) {
  return at::linear(at::linear(dropped_out(x.to(at::kFloat), change, expert), a), b) * change.scale;
}

void add(at::Tensor& sum, const at::Tensor& term) { sum = sum.defined() ? sum + term : term; }

// The sum of what `part` gives for each change, as one tensor whose last dimension is the weight's rows: gate rows before up rows.
template <class Part>
at::Tensor sum_of(const std::vector<LowRank>& changes, const Part& part) {
  at::Tensor all, gate, up;
  for (const LowRank& change : changes) add(change.rows == LowRank::Rows::kAll ? all : change.rows == LowRank::Rows::kGate ? gate : up, part(change));
  if (!gate.defined() && !up.defined()) return all;
  add(all, at::cat({gate.defined() ? gate : at::zeros_like(up), up.defined() ? up : at::zeros_like(gate)}, -1));
  return all;
}

}  // namespace

at::Tensor low_rank_product(const at::Tensor& x, const Parameter& weight) {
  return sum_of(weight.adapters, [&](const LowRank& change) { return product(x, change, change.a->value, change.b->value, 0); });
}

at::Tensor low_rank_product(const at::Tensor& x, const Parameter& weight, std::int64_t expert) {
  return sum_of(weight.adapters, [&](const LowRank& change) { return product(x, change, change.a->value[expert], change.b->value[expert], expert); });
}

at::Tensor merged_change(const Parameter& weight) {
  const at::NoGradGuard no_grad;
  const at::Tensor delta = sum_of(weight.adapters, [](const LowRank& change) { return (at::matmul(change.b->value, change.a->value) * change.scale).transpose(-2, -1); });
  return delta.defined() ? delta.transpose(-2, -1) : delta;
}

at::Tensor merged_value(const Parameter& weight) {
  const at::Tensor value = weight.value.detach(), delta = merged_change(weight);
  return delta.defined() ? (value.to(at::kFloat) + delta).to(value.scalar_type()) : value;
}

}  // namespace sluice::nn
