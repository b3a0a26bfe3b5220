#include "sluice/parallel/collectives.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <numeric>

namespace sluice::parallel {
namespace {

using dist::Group;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void remember(AutogradContext* context, const Group* group) { context->saved_data["group"] = reinterpret_cast<std::int64_t>(group); }
const Group& recall(AutogradContext* context) { return *reinterpret_cast<const Group*>(context->saved_data["group"].toInt()); }

at::Tensor gathered(const at::Tensor& x, const Group& group) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape[0] *= group.size();
  at::Tensor out = at::empty(shape, x.options().requires_grad(false));
  group.start_all_gather(out, x.contiguous())->wait();
  return out;
}

at::Tensor scattered(const at::Tensor& x, const Group& group) {
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape[0] /= group.size();
  const at::Tensor out = at::empty(shape, x.options().dtype(at::kFloat).requires_grad(false));
  group.start_reduce_scatter(out, x.to(at::kFloat).contiguous())->wait();
  return out.to(x.scalar_type());
}

at::Tensor summed(const at::Tensor& x, const Group& group) {
  const at::Tensor out = x.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  group.all_reduce(out, dist::Reduce::kSum);
  return out.to(x.scalar_type());
}

struct GatherRows : torch::autograd::Function<GatherRows> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Group* group) {
    remember(context, group);
    return gathered(x, *group);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) { return {scattered(gradients[0], recall(context)), {}}; }
};

struct ScatterSum : torch::autograd::Function<ScatterSum> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Group* group) {
    remember(context, group);
    return scattered(x, *group);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) { return {gathered(gradients[0], recall(context)), {}}; }
};

struct SumBothWays : torch::autograd::Function<SumBothWays> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Group* group) {
    remember(context, group);
    return summed(x, *group);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) { return {summed(gradients[0], recall(context)), {}}; }
};

struct ExchangeRows : torch::autograd::Function<ExchangeRows> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Group::Rows& rows, const Group* group, std::shared_ptr<dist::Pending>* pending) {
    remember(context, group);
    context->saved_data["sent"] = rows.sent;
    context->saved_data["received"] = rows.received;
    std::vector<std::int64_t> shape = x.sizes().vec();
    shape[0] = std::accumulate(rows.received.begin(), rows.received.end(), std::int64_t{0});
    const at::Tensor out = at::empty(shape, x.options().requires_grad(false));
    *pending = group->start_all_to_all(out, x.detach().contiguous(), rows);
    return out;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const Group::Rows back{context->saved_data["received"].toIntVector(), context->saved_data["sent"].toIntVector()};
    return {recall(context).all_to_all(gradients[0], back), {}, {}, {}};
  }
};

}  // namespace

at::Tensor gather_rows(const at::Tensor& x, const Group& group) { return group.alone() ? x : GatherRows::apply(x, &group); }
at::Tensor scatter_sum(const at::Tensor& x, const Group& group) { return group.alone() ? x : ScatterSum::apply(x, &group); }
at::Tensor sum_both_ways(const at::Tensor& x, const Group& group) { return group.alone() ? x : SumBothWays::apply(x, &group); }

Exchange start_exchange(const at::Tensor& x, const Group::Rows& rows, const Group& group) {
  Exchange out;
  out.rows = ExchangeRows::apply(x, rows, &group, &out.pending);
  return out;
}

at::Tensor exchange_rows(const at::Tensor& x, const Group::Rows& rows, const Group& group) {
  const Exchange exchange = start_exchange(x, rows, group);
  exchange.pending->wait();
  return exchange.rows;
}

}  // namespace sluice::parallel
