#include "sluice/nn/parameter.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <sys/mman.h>

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/base/rng.h"

namespace sluice::nn {
namespace {

constexpr std::int64_t kAlign = 64;            // elements: flat slices start on their own cache lines
constexpr std::int64_t kInitChunk = 1 << 18;   // elements drawn from one generator: the unit of parallel initialisation

std::int64_t count(const std::vector<std::int64_t>& shape) {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

std::int64_t rounded_up(std::int64_t n, std::int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// In chunks, so that all processors draw.
void draw(const ParameterSpec& spec, const at::Tensor& flat, std::uint64_t seed, double std) {
  if (spec.init == Init::kOnes || spec.init == Init::kZeros) {
    flat.fill_(spec.init == Init::kOnes ? 1.0 : 0.0);
    return;
  }
  at::parallel_for(0, (flat.numel() + kInitChunk - 1) / kInitChunk, 1, [&](std::int64_t begin, std::int64_t end) {
    const at::NoGradGuard no_grad_here;
    for (std::int64_t n = begin; n < end; ++n) {
      const at::Tensor chunk = flat.narrow(0, n * kInitChunk, std::min(kInitChunk, flat.numel() - n * kInitChunk));
      const at::Generator generator = at::detail::createCPUGenerator(philox_seed(seed, hash_name(spec.name), static_cast<std::uint64_t>(n)));
      if (spec.init == Init::kNormal) chunk.normal_(0.0, std, generator);
      else chunk.uniform_(1e-4, 16.0, generator).log_();
    }
  });
}

}  // namespace

at::Tensor block(const at::Tensor& tensor, const std::vector<std::int64_t>& begin, const std::vector<std::int64_t>& lengths) {
  at::Tensor out = tensor;
  for (std::size_t d = 0; d < lengths.size(); ++d) out = out.narrow(static_cast<std::int64_t>(d), begin[d], lengths[d]);
  return out;
}

void copy_pieces(const Part& part, const at::Tensor& whole, const at::Tensor& out) {
  for (const Piece& piece : part.pieces) block(out, piece.to, piece.lengths).copy_(block(whole, piece.from, piece.lengths));
}

void copy_part(const ParameterSpec& spec, const at::Tensor& whole, const at::Tensor& out) {
  if (spec.is_whole()) out.copy_(whole);
  else copy_pieces(spec.part, whole, out);
}

at::Tensor untouched_zeros(std::int64_t count, at::ScalarType type) {
  const auto bytes = static_cast<std::size_t>(count) * c10::elementSize(type);
  if (bytes == 0) return at::empty({0}, type);
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  return at::from_blob(pages, {count}, [bytes](void* p) { munmap(p, bytes); }, at::TensorOptions(type));
}

at::Tensor empty_weights(const std::vector<std::int64_t>& shape, at::ScalarType dtype) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const std::size_t bytes = static_cast<std::size_t>(count(shape)) * c10::elementSize(dtype);
  if (bytes < kHugePage) return at::empty(shape, dtype);
  const std::size_t mapped = bytes + kHugePage;  // so that a whole number of large pages lies inside
  void* pages = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  const auto begin = (reinterpret_cast<std::uintptr_t>(pages) + kHugePage - 1) / kHugePage * kHugePage;
  madvise(reinterpret_cast<void*>(begin), bytes, MADV_HUGEPAGE);  // advice alone: without it the pages are small ones
  return at::from_blob(reinterpret_cast<void*>(begin), shape, [pages, mapped](void*) { munmap(pages, mapped); }, at::TensorOptions(dtype));
}

at::ScalarType scalar_type(Precision precision) { return precision == Precision::kFloat32 ? at::kFloat : at::kBFloat16; }

ParameterStore::ParameterStore(const std::vector<ParameterSpec>& specs) {
  parameters_.reserve(specs.size());
  for (const ParameterSpec& spec : specs) {
    SLUICE_CHECK(index_.emplace(spec.name, parameters_.size()).second, "parameter " + spec.name + " is declared twice");
    parameters_.push_back({spec, {}, {}, {}});
  }
}

Parameter& ParameterStore::at(const std::string& name) {
  const auto found = index_.find(name);
  SLUICE_CHECK(found != index_.end(), "no parameter " + name);
  return parameters_[found->second];
}

Parameter* ParameterStore::find(const std::string& name) {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &parameters_[found->second];
}

std::int64_t ParameterStore::lay_out(const std::function<Placement(const ParameterSpec& spec)>& placement) {
  std::map<std::int64_t, std::vector<std::size_t>> of_key;
  std::map<std::int64_t, std::int64_t> align;
  std::vector<std::int64_t> keys;  // in the order in which they come
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (frozen_[i] || parameters_[i].spec.is_elsewhere()) continue;
    const Placement place = placement ? placement(parameters_[i].spec) : Placement{};
    if (align.emplace(place.key, place.align).second) keys.push_back(place.key);
    of_key[place.key].push_back(i);
  }
  std::int64_t total = 0;
  offsets_.assign(parameters_.size(), -1);
  in_order_.clear();
  runs_.clear();
  for (const std::int64_t key : keys) {
    const std::int64_t begin = total;
    for (const std::size_t i : of_key[key]) {
      offsets_[i] = total;
      total += rounded_up(count(parameters_[i].spec.shape), kAlign);
      in_order_.push_back(i);
    }
    total = begin + rounded_up(total - begin, align[key]);
    runs_.push_back({key, begin, total});
  }
  return total;
}

void ParameterStore::allocate_for_training(Precision precision, const std::function<bool(const std::string& name)>& frozen,
                                           const std::function<Placement(const ParameterSpec& spec)>& placement, const BufferMemory& memory) {
  frozen_.clear();
  for (const Parameter& parameter : parameters_) frozen_.push_back(frozen(parameter.spec.name) || parameter.spec.update == Update::kRule);
  const std::int64_t total = lay_out(placement);
  owned_ = {{0, 0, total}};
  flat_master_ = memory.values(total, at::kFloat);
  flat_grad_ = memory.gradients(total, at::kFloat);
  flat_compute_ = precision == Precision::kFloat32 ? at::Tensor() : memory.values(total, scalar_type(precision));
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = parameters_[i];
    const bool float32 = precision == Precision::kFloat32 || p.spec.keep != Keep::kComputePrecision;
    if (offsets_[i] < 0) {
      const at::ScalarType type = float32 ? at::kFloat : scalar_type(precision);
      p.value = p.spec.is_whole() ? at::empty(p.spec.shape, type) : at::zeros(p.spec.shape, type);
      continue;
    }
    p.master = slice(flat_master_, p);
    p.grad = slice(flat_grad_, p);
    p.value = (float32 ? p.master : slice(flat_compute_, p)).detach().requires_grad_(true);
    if (float32) p.value.mutable_grad() = p.grad;  // native autograd then adds straight into the flat buffer
  }
}

at::Tensor ParameterStore::slice(const at::Tensor& flat, const Parameter& parameter) const {
  const auto i = static_cast<std::size_t>(&parameter - parameters_.data());
  return flat.narrow(0, offsets_[i], count(parameter.spec.shape)).view(parameter.spec.shape);
}

void ParameterStore::initialise(std::uint64_t seed, double std, const After& after) {
  const at::NoGradGuard no_grad;
  for (const Parameter& p : parameters_) {
    if (p.spec.is_elsewhere()) continue;
    const at::Tensor own = p.master.defined() ? p.master : p.value.detach();
    const at::Tensor whole = p.spec.is_whole() ? own : at::empty(p.spec.whole_shape(), own.options());
    draw(p.spec, whole.view({-1}), seed, std);
    if (!p.spec.is_whole()) copy_pieces(p.spec.part, whole, own);
    refresh_compute_copy(p);
    if (after) after(p);
  }
}

void ParameterStore::refresh_compute_copies() {
  if (flat_compute_.defined()) flat_compute_.copy_(flat_master_);
}

void ParameterStore::refresh_compute_copy(const Parameter& parameter) {
  const bool has_copy = parameter.master.defined() && !parameter.value.is_alias_of(parameter.master);
  if (has_copy) parameter.value.detach().copy_(parameter.master);
}

std::vector<ParameterStore::Segment> ParameterStore::segments() const {
  std::vector<Segment> out;
  const auto add = [&](std::int64_t begin, std::int64_t end, Decay decay) {
    for (const Run& owned : owned_) {
      const std::int64_t first = std::max(begin, owned.begin), size = std::min(end, owned.end) - first;
      if (size <= 0) continue;
      const auto slice = [&](const at::Tensor& flat) { return flat.defined() ? flat.narrow(0, first, size) : at::Tensor(); };
      out.push_back({slice(flat_master_), slice(flat_grad_), slice(flat_compute_), decay, first});
    }
  };
  for (auto at = in_order_.begin(); at != in_order_.end();) {
    const Decay decay = parameters_[*at].spec.decay;
    const auto last = std::find_if(at, in_order_.end(), [&](std::size_t i) { return parameters_[i].spec.decay != decay; });
    const std::size_t end = *std::prev(last);
    add(offsets_[*at], offsets_[end] + rounded_up(count(parameters_[end].spec.shape), kAlign), decay);
    at = last;
  }
  return out;
}

void ParameterStore::each_in(const Run& run, const at::Tensor& values, const std::function<void(const Parameter& parameter, const at::Tensor& value)>& visit) const {
  const auto first = std::ranges::lower_bound(in_order_, run.begin, {}, [&](std::size_t i) { return offsets_[i]; });
  for (auto at = first; at != in_order_.end() && offsets_[*at] < run.end; ++at) {
    const auto& shape = parameters_[*at].spec.shape;
    visit(parameters_[*at], values.narrow(0, offsets_[*at] - run.begin, count(shape)).view(shape));
  }
}

void ParameterStore::each_run(const std::function<void(const Run& run, const at::Tensor& values)>& share) const {
  for (const Run& run : runs_) {
    bool float32 = !flat_compute_.defined();
    each_in(run, flat_master_.narrow(0, run.begin, run.end - run.begin), [&](const Parameter& p, const at::Tensor&) { float32 |= p.spec.keep != Keep::kComputePrecision; });
    share(run, (float32 ? flat_master_ : flat_compute_).narrow(0, run.begin, run.end - run.begin));
  }
}

std::int64_t ParameterStore::num_trainable() const {
  std::int64_t n = 0;
  for (std::size_t i = 0; i < frozen_.size(); ++i) n += frozen_[i] ? 0 : count(parameters_[i].spec.whole_shape());
  return n;
}

std::int64_t ParameterStore::num_elements() const {
  std::int64_t n = 0;
  for (const Parameter& p : parameters_) n += count(p.spec.whole_shape());
  return n;
}

}  // namespace sluice::nn
