// Collectives that gradients pass through. Every rank of the group calls them in the same order, forward and backward.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

#include "sluice/dist/group.h"

namespace sluice::parallel {

// Gradients are summed over the ranks in float32, whatever the precision of the activations.

// x [n, ...] of each rank, one below another: [ranks * n, ...]. A rank's gradient is the sum of those that all have for its rows.
at::Tensor gather_rows(const at::Tensor& x, const dist::Group& group);

// The sum over the ranks of x [ranks * n, ...], of which each keeps its n rows.
at::Tensor scatter_sum(const at::Tensor& x, const dist::Group& group);

// The sum over the ranks of x. Each rank has found a part of the gradient of the sum, and those are summed too.
at::Tensor sum_both_ways(const at::Tensor& x, const dist::Group& group);

// As Group::all_to_all; gradients go back the way the rows came.
at::Tensor exchange_rows(const at::Tensor& x, const dist::Group::Rows& rows, const dist::Group& group);
// The same, under way: `rows` may be read after pending->wait().
struct Exchange {
  at::Tensor rows;
  std::shared_ptr<dist::Pending> pending;
};
Exchange start_exchange(const at::Tensor& x, const dist::Group::Rows& rows, const dist::Group& group);

}  // namespace sluice::parallel
