// Learnable tensors: float32 masters, the copies that compute, and float32 gradients, all in flat buffers.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::nn {

enum class Precision { kFloat32, kBfloat16 };
constexpr std::array<std::string_view, 2> names(Precision) { return {"fp32", "bf16"}; }
at::ScalarType scalar_type(Precision precision);

enum class Init { kNormal, kOnes, kZeros, kLogUniform };  // kLogUniform: log of uniform (0, 16) (a delta net's A_log)
// Norm weights, biases and routers stay float32 in every precision: they are small, and rounding them changes which expert a token meets.
// kFloat32InFiles is float32 in exports of other types too (a correction bias, whose steps of 1e-3 would vanish).
enum class Keep { kComputePrecision, kFloat32, kFloat32InFiles };
enum class Decay { kYes, kNo };  // norms and biases are not decayed unless a recipe asks for it
enum class Update { kGradient, kRule };  // kRule: no gradient; set by a rule of its own, as a router's correction bias

// A block of a tensor, and where it lies in the part that a process holds. One number a dimension each.
struct Piece {
  std::vector<std::int64_t> from, to;  // its first element, in the whole tensor and in the part
  std::vector<std::int64_t> lengths;
  bool operator==(const Piece&) const = default;
};

// What a process holds of a tensor that several processes share out. No pieces: zeros that stay so, as another process holds what they would be.
struct Part {
  std::vector<std::int64_t> whole;  // the whole tensor's shape; empty = this process holds all of it
  std::vector<Piece> pieces;
};

struct ParameterSpec {
  std::string name;                 // ours: "layers.3.attention.q_proj.weight"
  std::vector<std::int64_t> shape;  // of what is held here
  Init init = Init::kNormal;
  Keep keep = Keep::kComputePrecision;
  Decay decay = Decay::kYes;
  Update update = Update::kGradient;
  Part part = {};

  bool is_whole() const { return part.whole.empty(); }
  bool is_elsewhere() const { return !is_whole() && part.pieces.empty(); }
  const std::vector<std::int64_t>& whole_shape() const { return is_whole() ? shape : part.whole; }
};

// The elements of a tensor from `begin`, `lengths` of them in each dimension, as a view.
at::Tensor block(const at::Tensor& tensor, const std::vector<std::int64_t>& begin, const std::vector<std::int64_t>& lengths);

// Copies the pieces of `whole` into `out`, which is of the part's shape; elements that no piece covers stay.
void copy_pieces(const Part& part, const at::Tensor& whole, const at::Tensor& out);

// Fills `out`, which is of the spec's shape, from the whole tensor; nothing where it is held elsewhere.
void copy_part(const ParameterSpec& spec, const at::Tensor& whole, const at::Tensor& out);

struct Parameter;

// Which of a low-rank change's inputs are left out while training: each element with probability `rate`, as (seed, step, name of the change,
// expert, token, column) say alone, so that every layout leaves out the same, and a recomputed forward pass too.
struct Dropout {
  double rate = 0;
  std::uint64_t seed = 0, step = 0;
  bool active = false;
  // What products of this pass have rows of, each set of tokens of another size: int64 [tokens], a token by its row in the step's batch (upper 32
  // bits) and its position there.
  std::vector<at::Tensor> tokens = {};
};

// A low-rank change of a weight (LoRA, Hu et al., arXiv:2106.09685): y = x w^T + scale * dropout(x) a^T b^T. Experts have one each, in the
// first dimension of a and b.
struct LowRank {
  enum class Rows { kAll, kGate, kUp };  // which of the weight's rows b makes: kGate and kUp are one half each of an expert's first product
  const Parameter* a = nullptr;          // [rank, in] or [experts, rank, in], float32
  const Parameter* b = nullptr;          // [out, rank] or [experts, out, rank], float32
  double scale = 1;
  const Dropout* dropout = nullptr;
  Rows rows = Rows::kAll;
};

struct Parameter {
  ParameterSpec spec;
  at::Tensor value;   // what the forward pass reads; a leaf that requires a gradient, unless frozen
  at::Tensor master;  // float32; the same memory as `value` where that is float32. Undefined for inference and for frozen parameters
  at::Tensor grad;    // float32, a view of the flat gradient buffer; gradients are added to it. Undefined when frozen
  std::vector<LowRank> adapters = {};  // what products with this weight add
  bool trainable() const { return grad.defined(); }
};

// Zeros [count] in pages that exist only once they are written: buffers that the first step fills cost nothing before it.
at::Tensor untouched_zeros(std::int64_t count, at::ScalarType type);
using MakeZeros = std::function<at::Tensor(std::int64_t count, at::ScalarType type)>;

// Uninitialised, in pages of 2 MB where the system gives them: reading weights once a token is faster without looking up small pages.
at::Tensor empty_weights(const std::vector<std::int64_t>& shape, at::ScalarType dtype);

// What a store's flat buffers are made by: those of masters and computing copies, and that of gradients.
struct BufferMemory {
  MakeZeros values = untouched_zeros, gradients = untouched_zeros;
};

// Owns all parameters of a model. Addresses of Parameters stay valid for the store's life.
class ParameterStore {
 public:
  explicit ParameterStore(const std::vector<ParameterSpec>& specs);
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  // How trainable parameters lie in the flat buffers: those of one key form a run, whose length is a multiple of `align` elements.
  struct Placement {
    std::int64_t key = 0, align = 1;
  };
  // Makes flat buffers for training: masters and gradients in float32, computing copies in `precision`. Values are not yet set.
  void allocate_for_training(Precision precision, const std::function<bool(const std::string& name)>& frozen,
                             const std::function<Placement(const ParameterSpec& spec)>& placement = {}, const BufferMemory& memory = {});
  // Random values from (seed, name) alone: normal with `std`, or as the spec's init says. `after` sees each parameter once it has its value.
  using After = std::function<void(const Parameter& parameter)>;
  void initialise(std::uint64_t seed, double std, const After& after = {});
  // After masters were changed (loading, an optimizer that does not do it itself): the computing copies follow.
  void refresh_compute_copies();
  void refresh_compute_copy(const Parameter& parameter);
  void zero_grad() { flat_grad_.zero_(); }

  Parameter& at(const std::string& name);
  Parameter* find(const std::string& name);  // null when there is none
  std::vector<Parameter>& all() { return parameters_; }
  const std::vector<Parameter>& all() const { return parameters_; }
  const at::Tensor& flat_grad() const { return flat_grad_; }
  const at::Tensor& flat_master() const { return flat_master_; }
  const at::Tensor& flat_compute() const { return flat_compute_; }  // undefined where the masters compute
  // Whether the run trains it, on whichever process.
  bool is_trained(const Parameter& parameter) const { return !frozen_[static_cast<std::size_t>(&parameter - parameters_.data())]; }
  std::int64_t offset_of(const Parameter& parameter) const { return offsets_[static_cast<std::size_t>(&parameter - parameters_.data())]; }  // in the flat buffers
  // The part of `flat`, a buffer as long as the flat ones, that belongs to a trainable parameter, in its shape.
  at::Tensor slice(const at::Tensor& flat, const Parameter& parameter) const;

  // Elements [begin, end) of the flat buffers.
  struct Run {
    std::int64_t key = 0, begin = 0, end = 0;
  };
  const std::vector<Run>& runs() const { return runs_; }
  // What this process updates: elements outside of `ranges`, which rise, are updated by others. At first it is everything.
  void set_owned(std::vector<Run> ranges) { owned_ = std::move(ranges); }

  // Calls `share` with what a run computes with: masters, or the copies of a narrower type.
  void each_run(const std::function<void(const Run& run, const at::Tensor& values)>& share) const;
  // Calls `visit` with the part of `values`, which is as long as the run, that belongs to each of its parameters, in its shape.
  void each_in(const Run& run, const at::Tensor& values, const std::function<void(const Parameter& parameter, const at::Tensor& value)>& visit) const;

  // Trainable elements with one decay rule, for optimizers that walk the flat buffers: those that this process updates.
  struct Segment {
    at::Tensor master, grad;  // float32 [n]
    at::Tensor compute;       // bf16 [n]; undefined where the masters themselves compute
    Decay decay;
    std::int64_t offset;      // of the first element in the flat buffers
  };
  std::vector<Segment> segments() const;
  std::int64_t num_trainable() const;  // elements, those that other processes hold included
  std::int64_t num_elements() const;   // as above

 private:
  std::int64_t lay_out(const std::function<Placement(const ParameterSpec& spec)>& placement);  // returns the length of the flat buffers

  std::vector<Parameter> parameters_;
  std::map<std::string, std::size_t> index_;
  at::Tensor flat_master_, flat_compute_, flat_grad_;
  std::vector<std::int64_t> offsets_;  // of each parameter in the flat buffers, in elements; -1 when frozen or held elsewhere
  std::vector<bool> frozen_;           // of each parameter
  std::vector<std::size_t> in_order_;  // parameters that have an offset, by it
  std::vector<Run> runs_, owned_;
};

}  // namespace sluice::nn
