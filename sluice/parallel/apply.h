// Runs a model's blocks under a layout: what the parallel files do to them, and in which order.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/models/model.h"
#include "sluice/parallel/layout.h"
#include "sluice/parallel/offload.h"
#include "sluice/parallel/recompute.h"

namespace sluice::parallel {

enum class RecomputeMethod { kBlock, kUniform };
constexpr std::array<std::string_view, 2> names(RecomputeMethod) { return {"block", "uniform"}; }

struct MemoryConfig {
  Recompute recompute = Recompute::kNone;
  std::vector<nn::Module> recompute_modules{nn::Module::kCoreAttention};
  RecomputeMethod recompute_method = RecomputeMethod::kBlock;
  std::optional<std::int64_t> recompute_layers;
  bool distribute_saved_activations = false;
  std::vector<Offload> offload;
  std::string offload_dir;
  void fields(auto&& field) {
    field("recompute", recompute, "Activations to compute again in the backward pass: none, selective (recompute_modules), or full (each layer keeps its input alone).");
    field("recompute_modules", recompute_modules, "What recompute=selective computes again: core_attn, moe_act, layernorm, mla_up_proj, mlp, moe.");
    field("recompute_method", recompute_method, "Which layers are recomputed: block (the first recompute_layers of each pipeline stage) or uniform (all, each by itself).");
    field("recompute_layers", recompute_layers, "Layers of each pipeline stage that are recomputed; null = all.");
    field("distribute_saved_activations", distribute_saved_activations, "Share out what recompute=full keeps over the tensor-parallel ranks, which gather it again.");
    field("offload", offload, "What lies in files of offload_dir instead of memory: parameters, gradients, optimizer, activations.");
    field("offload_dir", offload_dir, "Folder on a disk for that. Its files have no names, and are gone when the run ends, however it ends. Empty = memory.");
  }

  bool offloads(Offload what) const { return !offload_dir.empty() && std::ranges::find(offload, what) != offload.end(); }
  Activations activations() const {
    Activations out(recompute);
    out.modules = recompute_modules;
    if (recompute_method == RecomputeMethod::kBlock) out.layers = recompute_layers;
    return out;
  }
};

// Blocks begin .. end - 1. Adds the routers of mixture layers to `routers`.
at::Tensor run_blocks(const models::Model& model, const LayerRange& range, at::Tensor hidden, const nn::ForwardContext& context, const Activations& activations,
                      std::vector<nn::RouterRecord>& routers);

struct Pass {
  at::Tensor hidden;                          // [tokens, hidden], after the final norm, ready for the head
  std::vector<nn::RouterRecord> routers;  // one a mixture layer
};

// The whole model forward. ids [rows * seq], int64. Where its blocks lie on several ranks, each of them gets the pass.
Pass forward(const models::Model& model, const at::Tensor& ids, const nn::ForwardContext& context, const Activations& activations = {});

}  // namespace sluice::parallel
