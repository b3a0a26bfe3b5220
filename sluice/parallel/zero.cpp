#include "sluice/parallel/zero.h"

#include <ATen/ATen.h>
#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "sluice/kernels/cpu/sum_of_squares.h"

namespace sluice::parallel {
namespace {

constexpr std::int64_t kBucketElements = (std::int64_t{50} << 20) / 4;
constexpr std::int64_t kOutside = 0;  // the unit of what is in no layer
constexpr std::int64_t kTrimBytes = std::int64_t{16} << 20;

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
  void* const pages = reinterpret_cast<void*>(begin);
  const bool is_hole = madvise(pages, end - begin, MADV_REMOVE) == 0;  // of a file
  const bool is_memory = !is_hole && errno == EINVAL;
  if (is_memory) madvise(pages, end - begin, MADV_DONTNEED);
  else if (!is_hole) clear(begin, end);  // of a file system that knows no holes
  clear(end, last);
}

// The same elements by a tensor that autograd does not know: what arrives in them changes no value that it has seen.
at::Tensor unseen(const at::Tensor& flat) { return at::from_blob(flat.data_ptr(), flat.sizes(), flat.options().requires_grad(false)); }

}  // namespace

at::Tensor zeros_in_small_pages(std::int64_t count, at::ScalarType type) {
  const at::Tensor zeros = nn::untouched_zeros(count, type);
  if (count > 0) madvise(zeros.data_ptr(), zeros.nbytes(), MADV_NOHUGEPAGE);
  return zeros;
}

SharedParameters::SharedParameters(const Holders& holders, nn::ParameterStore& store, const DiskBuffers* disk) : holders_(holders), store_(store), disk_(disk) {
  std::vector<Run> owned;
  for (const Run& run : store.runs()) owned.push_back(holders.own_piece(run));
  store.set_owned(std::move(owned));
  store.each_run([&](const Run& run, const at::Tensor& values) { units_[Holders::unit_of(run)].push_back({run, values}); });
  if (splits_gradients()) kept_gradients_ = zeros_in_small_pages(store.flat_grad().numel(), at::kFloat);
  for (const nn::Parameter& parameter : store.all()) {
    if (!parameter.trainable()) continue;
    const std::int64_t begin = store.offset_of(parameter), end = begin + parameter.master.numel();
    places_[Holders::unit_of(parameter.spec.name)].push_back({0, begin, end});
  }
}

void SharedParameters::value_is_set(const nn::Parameter& parameter) {
  if (!parameter.trainable()) return;
  const std::int64_t begin = store_.offset_of(parameter);
  const Run part{0, begin, begin + parameter.master.numel()};
  for (const auto& [unit, runs] : units_) {
    for (const auto& [run, values] : runs) {
      if (!holders_.is_split(run) || begin < run.begin || begin >= run.end) continue;
      const bool computes_apart = values.scalar_type() != at::kFloat;
      if (computes_apart) forget_others(run, slice(store_.flat_master(), run.begin, run.end), part);
      if (splits_parameters()) forget_others(run, values, part);
    }
  }
  if (disk_) disk_->release(part.begin, part.end);
}

void SharedParameters::trim() {
  for (const auto& [unit, runs] : units_) {
    for (const auto& [run, values] : runs) {
      if (store_.flat_compute().defined()) follow_masters(holders_.own_piece(run));
      if (holders_.is_split(run) && values.scalar_type() != at::kFloat) forget_others(run, slice(store_.flat_master(), run.begin, run.end));
    }
    if (splits_parameters()) give_back(unit);
  }
  if (!splits_parameters()) share_update();
}

void SharedParameters::follow_masters(const Run& part) const {
  for (std::int64_t begin = part.begin; begin < part.end; begin += kBucketElements) {
    const std::int64_t end = std::min(begin + kBucketElements, part.end);
    slice(store_.flat_compute(), begin, end).copy_(slice(store_.flat_master(), begin, end));
    if (disk_) disk_->release(begin, end);
  }
}

void SharedParameters::forget_others(const Run& run, const at::Tensor& values, const Run& part) const {
  const Run own = holders_.own_piece(run);
  const auto forget_between = [&](std::int64_t begin, std::int64_t end) {
    if (begin < end) forget(slice(values, begin - run.begin, end - run.begin));
  };
  forget_between(part.begin, std::min(part.end, own.begin));
  forget_between(std::max(part.begin, own.end), part.end);
}

void SharedParameters::release(std::int64_t unit) const {
  const auto found = places_.find(unit);
  if (!disk_ || found == places_.end()) return;
  for (const Run& place : found->second) disk_->release(place.begin, place.end);
}

void SharedParameters::expect(std::int64_t unit) const {
  const auto found = places_.find(unit);
  if (!disk_ || found == places_.end()) return;
  for (const Run& place : found->second) disk_->expect(place.begin, place.end);
}

void SharedParameters::begin_step(std::int64_t micro_batches) {
  micro_batches_ = micro_batches;
  backward_passes_.clear();
  if (disk_) disk_->release(0, store_.flat_grad().numel());  // what a checkpoint or an evaluation has looked at
  if (splits_gradients() || disk_) forget(store_.flat_grad());
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
  if (sum.arrived.defined()) {
    const Run own = holders_.own_piece(sum.run);
    if (splits_gradients()) {
      forget(slice(store_.flat_grad(), sum.run.begin, sum.run.end));
      slice(kept_gradients_, own.begin, own.end).add_(sum.arrived);
    } else {
      slice(store_.flat_grad(), own.begin, own.end).copy_(sum.arrived);
    }
  }
  release(sum.unit);
}

void SharedParameters::settle_all_but(std::int64_t unit) {
  for (Sum& sum : sums_) {
    if (sum.unit != unit) settle(sum);
  }
  std::erase_if(sums_, [&](const Sum& sum) { return sum.unit != unit; });
}

void SharedParameters::settle_all_of(std::int64_t unit) {
  for (Sum& sum : sums_) {
    if (sum.unit == unit) settle(sum);
  }
  std::erase_if(sums_, [&](const Sum& sum) { return sum.unit == unit; });
}

void SharedParameters::finish_gradients() {
  for (const auto& [unit, runs] : units_) {
    // Left are what is in no layer, and a block below which nothing learns: no gradient comes to its input.
    if (unit != kOutside && backward_passes_[unit] >= micro_batches_) continue;
    settle_all_but(unit);
    start_sum(unit);
    if (unit != kOutside && splits_parameters()) give_back(unit);
  }
  settle_all_but(-1);
  release(kOutside);
  for (const Run& run : store_.runs()) {  // one after the other, so that none is there twice for long
    if (!splits_gradients() || !holders_.is_split(run)) continue;
    const Run own = holders_.own_piece(run);
    const at::Tensor kept = slice(kept_gradients_, own.begin, own.end);
    slice(store_.flat_grad(), own.begin, own.end).copy_(kept);
    forget(kept);
    if (disk_) disk_->release(own.begin, own.end);
  }
}

// `before` plus the squares of the gradients there, in pieces where they lie on disk.
double SharedParameters::squares(const Run& part, double before) const {
  constexpr std::int64_t kPiece = 256 * kernels::cpu::kSumBlock;
  const auto* grad = store_.flat_grad().data_ptr<float>();
  const std::int64_t piece = disk_ ? kPiece : part.end - part.begin;
  for (std::int64_t begin = part.begin; begin < part.end; begin += piece) {
    const std::int64_t end = std::min(begin + piece, part.end);
    before = kernels::cpu::sum_of_squares(grad + begin, end - begin, before);
    if (disk_) disk_->release(begin, end);
  }
  return before;
}

double SharedParameters::grad_norm() const {
  const dist::Group& world = *holders_.mesh().world;
  if (world.alone()) return std::sqrt(squares({0, 0, store_.flat_grad().numel()}, 0));
  double everywhere = 0, here = 0;  // of what all ranks hold alike; of what each holds of the rest, divided among its holders
  for (const Run& run : store_.runs()) {
    const dist::Group& group = holders_.group_of(run);
    if (holders_.is_split(run)) here += squares(holders_.own_piece(run), 0);
    else if (group.size() == world.size()) everywhere += squares(run, 0);
    else here += squares(run, 0) / static_cast<double>(group.size());
  }
  return std::sqrt(everywhere + world.sum(here));
}

void SharedParameters::share_update() {
  if (splits_parameters()) return end_use();
  for (const auto& [unit, runs] : units_) {
    fetch(unit);
    wait_for(unit);
    release(unit);
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
    pending.push_back(holders_.group_of(run).start_all_gather(unseen(values), unseen(slice(values, own.begin - run.begin, own.end - run.begin))));
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
    if (!holders_.is_split(run)) continue;
    forget_others(run, values);
    given_back_ += static_cast<std::int64_t>(values.nbytes());
  }
  if (given_back_ < kTrimBytes) return;
  given_back_ = 0;
  malloc_trim(0);  // the allocator keeps what is freed, and buffers of messages leave holes of all sizes
}

void SharedParameters::before_forward(std::int64_t block) {
  expect(block + 2);  // while this one computes
  if (!splits_parameters()) return;
  fetch(block + 1);
  fetch(block + 2);
  wait_for(block + 1);
}

void SharedParameters::after_forward(std::int64_t block) {
  if (splits_parameters()) give_back(block + 1);
  release(block + 1);
}

void SharedParameters::before_backward(std::int64_t block) {
  settle_all_of(block + 1);  // of a stage with one layer alone that is under way: its gradient is about to change again
  if (block > 0) expect(block);
  if (!splits_parameters()) return;
  fetch(block + 1);
  if (block > 0) fetch(block);
  wait_for(block + 1);
}

void SharedParameters::after_backward(std::int64_t block) {
  const std::int64_t unit = block + 1;
  const bool last = ++backward_passes_[unit] == micro_batches_;
  if (splits_parameters()) give_back(unit);
  release(unit);
  if (!last && !splits_gradients()) return;
  if (splits_gradients()) settle_all_but(-1);
  start_sum(unit);
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
    if (disk_) disk_->release(run.begin, run.end);
  }
}

}  // namespace sluice::parallel
