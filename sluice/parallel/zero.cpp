#include "sluice/parallel/zero.h"

#include <ATen/ATen.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "sluice/kernels/cpu/sum_of_squares.h"

namespace sluice::parallel {
namespace {

constexpr std::int64_t kBucketElements = (std::int64_t{50} << 20) / 4;
constexpr std::int64_t kOutside = 0;  // the unit of what is in no layer

at::Tensor slice(const at::Tensor& flat, std::int64_t begin, std::int64_t end) { return flat.narrow(0, begin, end - begin); }

// Zeros, without pages where whole ones lie inside.
void forget(const at::Tensor& flat) {
  constexpr std::uintptr_t kPage = 4096;
  const auto first = reinterpret_cast<std::uintptr_t>(flat.data_ptr()), last = first + flat.nbytes();
  const std::uintptr_t begin = (first + kPage - 1) / kPage * kPage, end = last / kPage * kPage;
  const auto clear = [](std::uintptr_t from, std::uintptr_t to) {
    if (from < to) std::memset(reinterpret_cast<void*>(from), 0, to - from);
  };
  if (begin >= end) return clear(first, last);
  clear(first, begin);
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  clear(end, last);
}

// The same elements by a tensor that autograd does not know: what arrives in them changes no value that it has seen.
at::Tensor unseen(const at::Tensor& flat) { return at::from_blob(flat.data_ptr(), flat.sizes(), flat.options().requires_grad(false)); }

}  // namespace

SharedParameters::SharedParameters(const Holders& holders, nn::ParameterStore& store) : holders_(holders), store_(store) {
  std::vector<Run> owned;
  for (const Run& run : store.runs()) owned.push_back(holders.own_piece(run));
  store.set_owned(std::move(owned));
  store.each_run([&](const Run& run, const at::Tensor& values) { units_[Holders::unit_of(run)].push_back({run, values}); });
}

void SharedParameters::trim() {
  for (const Run& run : store_.runs()) {
    if (holders_.is_split(run)) forget_others(run, slice(store_.flat_master(), run.begin, run.end));
  }
  if (!splits_parameters()) return share_update();  // what was computed with may have been the masters
  for (const auto& [unit, runs] : units_) give_back(unit);
}

void SharedParameters::forget_others(const Run& run, const at::Tensor& values) const {
  const Run own = holders_.own_piece(run);
  forget(slice(values, 0, own.begin - run.begin));
  forget(slice(values, own.end - run.begin, run.end - run.begin));
}

void SharedParameters::begin_step(std::int64_t micro_batches) {
  micro_batches_ = micro_batches;
  backward_passes_.clear();
  kept_gradients_.clear();
  if (splits_gradients()) forget(store_.flat_grad());
  else store_.zero_grad();
  begin_use();
}

void SharedParameters::start_sum(std::int64_t unit) {
  for (const auto& [run, unused] : units_[unit]) {
    const dist::Group& group = holders_.group_of(run);
    if (group.alone()) continue;
    const at::Tensor grad = slice(store_.flat_grad(), run.begin, run.end);
    Sum sum{unit, run, {}, {}};
    if (holders_.is_split(run)) {
      sum.arrived = at::empty({grad.numel() / group.size()}, at::kFloat);
      sum.pending.push_back(group.start_reduce_scatter(sum.arrived, grad));
    } else {
      for (std::int64_t begin = 0; begin < grad.numel(); begin += kBucketElements) {
        sum.pending.push_back(group.start_all_reduce(slice(grad, begin, std::min(begin + kBucketElements, grad.numel())), dist::Reduce::kSum));
      }
    }
    sums_.push_back(std::move(sum));
  }
}

void SharedParameters::settle(Sum& sum) {
  for (const auto& pending : sum.pending) pending->wait();
  if (!sum.arrived.defined()) return;
  if (splits_gradients()) {
    forget(slice(store_.flat_grad(), sum.run.begin, sum.run.end));
    at::Tensor& kept = kept_gradients_[sum.run.begin];
    kept = kept.defined() ? kept.add_(sum.arrived) : sum.arrived;
    return;
  }
  const Run own = holders_.own_piece(sum.run);
  slice(store_.flat_grad(), own.begin, own.end).copy_(sum.arrived);
}

void SharedParameters::settle_all_but(std::int64_t unit) {
  for (Sum& sum : sums_) {
    if (sum.unit != unit) settle(sum);
  }
  std::erase_if(sums_, [&](const Sum& sum) { return sum.unit != unit; });
}

void SharedParameters::finish_gradients() {
  for (const auto& [unit, runs] : units_) {
    if (unit == kOutside || backward_passes_[unit] < micro_batches_) {
      settle_all_but(unit);
      start_sum(unit);
    }
  }
  settle_all_but(-1);
  for (const auto& [begin, kept] : kept_gradients_) {
    const auto run = std::ranges::find(store_.runs(), begin, &Run::begin);
    const Run own = holders_.own_piece(*run);
    slice(store_.flat_grad(), own.begin, own.end).copy_(kept);
  }
  kept_gradients_.clear();
}

double SharedParameters::grad_norm() const {
  const auto* grad = store_.flat_grad().data_ptr<float>();
  const auto squares = [&](const Run& run) { return kernels::cpu::sum_of_squares(grad + run.begin, run.end - run.begin); };
  const dist::Group& world = *holders_.mesh().world;
  if (world.alone()) return std::sqrt(squares({0, 0, store_.flat_grad().numel()}));
  double everywhere = 0, here = 0;  // of what all ranks hold alike; of what each holds of the rest, divided among its holders
  for (const Run& run : store_.runs()) {
    const dist::Group& group = holders_.group_of(run);
    if (holders_.is_split(run)) here += squares(holders_.own_piece(run));
    else if (group.size() == world.size()) everywhere += squares(run);
    else here += squares(run) / static_cast<double>(group.size());
  }
  return std::sqrt(everywhere + world.sum(here));
}

void SharedParameters::share_update() {
  if (splits_parameters()) return end_use();
  for (const auto& [unit, runs] : units_) {
    fetch(unit);
    wait_for(unit);
  }
  fetched_.clear();
}

void SharedParameters::begin_use() {
  if (!splits_parameters()) return;
  fetch(kOutside);
  wait_for(kOutside);
}

void SharedParameters::end_use() {
  if (splits_parameters()) give_back(kOutside);
}

// Under way where it is not here yet. Nothing for a unit that this rank has none of.
void SharedParameters::fetch(std::int64_t unit) {
  const auto found = units_.find(unit);
  if (found == units_.end() || fetched_.contains(unit)) return;
  auto& pending = fetched_[unit];
  for (const auto& [run, values] : found->second) {
    if (!holders_.is_split(run)) continue;
    const Run own = holders_.own_piece(run);
    pending.push_back(holders_.group_of(run).start_all_gather(unseen(values), slice(values, own.begin - run.begin, own.end - run.begin).detach().clone()));
  }
}

void SharedParameters::wait_for(std::int64_t unit) {
  const auto found = fetched_.find(unit);
  if (found == fetched_.end()) return;
  for (const auto& pending : found->second) pending->wait();
  found->second.clear();
}

void SharedParameters::give_back(std::int64_t unit) {
  wait_for(unit);
  fetched_.erase(unit);
  for (const auto& [run, values] : units_[unit]) {
    if (holders_.is_split(run)) forget_others(run, values);
  }
}

void SharedParameters::before_forward(std::int64_t block) {
  if (!splits_parameters()) return;
  fetch(block + 1);
  fetch(block + 2);  // while this one computes
  wait_for(block + 1);
}

void SharedParameters::after_forward(std::int64_t block) {
  if (splits_parameters()) give_back(block + 1);
}

void SharedParameters::before_backward(std::int64_t block) {
  if (!splits_parameters()) return;
  fetch(block + 1);
  if (block > 0) fetch(block);
  wait_for(block + 1);
}

void SharedParameters::after_backward(std::int64_t block) {
  const std::int64_t unit = block + 1;
  const bool last = ++backward_passes_[unit] == micro_batches_;
  if (splits_parameters()) give_back(unit);
  if (!last && !splits_gradients()) return;
  if (splits_gradients()) settle_all_but(-1);
  start_sum(unit);
}

void SharedParameters::keep(const at::Tensor& flat, const nn::Parameter& parameter, const at::Tensor& value) const {
  const std::int64_t begin = store_.offset_of(parameter), end = begin + value.numel();
  for (const Run& run : store_.runs()) {
    const Run own = holders_.own_piece(run);
    const std::int64_t first = std::max(begin, own.begin), last = std::min(end, own.end);
    if (first < last) slice(flat, first, last).copy_(slice(value.view({-1}), first - begin, last - begin));
  }
}

void SharedParameters::complete(const at::Tensor& flat, const std::function<void(const nn::Parameter& parameter, const at::Tensor& value)>& visit) const {
  for (const Run& run : store_.runs()) {
    at::Tensor values = slice(flat, run.begin, run.end);
    if (holders_.is_split(run)) {
      const Run own = holders_.own_piece(run);
      const at::Tensor all = at::empty({run.end - run.begin}, flat.options());
      holders_.group_of(run).start_all_gather(all, slice(flat, own.begin, own.end))->wait();
      values = all;
    }
    store_.each_in(run, values, visit);
  }
}

}  // namespace sluice::parallel
