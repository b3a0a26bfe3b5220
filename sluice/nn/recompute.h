// Parts of a layer that are computed again in the backward pass instead of being kept (Chen et al., arXiv:1604.06174), with the same bits.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <string_view>
#include <vector>

#include "sluice/nn/kept.h"

namespace sluice::nn {

// By Megatron's names.
//   core_attn    softmax(q k^T) v: keeps q, k and v
//   moe_act      what stands between an expert's products. Sluice's experts never keep it; those with adapters do
//   layernorm    norms: neither their insides nor their results are kept, only what they normalise
//   mla_up_proj  of multi-head latent attention: queries, keys and values are not kept, only the latents
//   mlp          the feed-forward part of dense layers, and experts that every token meets: keeps its input
//   moe          routers and routed experts: keeps their input
enum class Module { kCoreAttention, kMoeActivation, kLayerNorm, kMlaUpProjection, kMlp, kMoe };
constexpr std::array<std::string_view, 6> names(Module) { return {"core_attn", "moe_act", "layernorm", "mla_up_proj", "mlp", "moe"}; }

// While it lives, on this thread, these modules are recomputed, and `keeper` (null: none) keeps what is kept. As Keeping.
class Recomputing {
 public:
  explicit Recomputing(std::vector<Module> modules, Keeper* keeper = nullptr);
  ~Recomputing();
  Recomputing(const Recomputing&) = delete;
  Recomputing& operator=(const Recomputing&) = delete;

 private:
  const std::vector<Module> modules_;
  Keeping keeping_;
};
bool recomputes(Module module);

using Tensors = std::vector<at::Tensor>;
using Computation = std::function<Tensors(const Tensors& inputs)>;

// compute(inputs), of which the inputs are kept alone; the backward pass computes it again. What depends on parameters only needs no place among
// the inputs; what else needs a gradient does. `compute` and what it refers to outlive the backward pass.
Tensors recomputed(const Tensors& inputs, const Computation& compute);

// `results` are compute(inputs): where something keeps one of them, from now on, it is not kept but computed again when it is asked for. Within
// Recomputing.
void forget(const Tensors& results, const Tensors& inputs, const Computation& compute);

// recomputed(), and its results forgotten.
Tensors forgotten(const Tensors& inputs, const Computation& compute);

// compute(inputs) as it is, or where `module` is recomputed as above.
Tensors recomputed(Module module, const Tensors& inputs, const Computation& compute);
Tensors forgotten(Module module, const Tensors& inputs, const Computation& compute);

// The same of one tensor.
at::Tensor recomputed(Module module, const at::Tensor& input, const std::function<at::Tensor(const at::Tensor&)>& compute);
at::Tensor forgotten(Module module, const at::Tensor& input, const std::function<at::Tensor(const at::Tensor&)>& compute);

// `x` for a module that uses it several times while others use it too: the gradients of its uses are added up before those of the others, recomputed
// or not, so that the bits are the same.
at::Tensor for_module(const at::Tensor& x);

}  // namespace sluice::nn
