// Qwen3-Next's attention: norms on each head's query and key, a partial rotary embedding, and a sigmoid gate on what comes out.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "sluice/models/qwen3_next/config.h"
#include "sluice/nn/forward.h"
#include "sluice/nn/linear.h"
#include "sluice/nn/rope.h"

namespace sluice::models {

class GatedAttention {
 public:
  // Of the linears and norms under `name`; `config` and `rope` outlive it.
  GatedAttention(const Qwen3NextConfig& config, nn::ParameterStore& store, const nn::RopeTable& rope, const std::string& name)
      : config_(config), rope_(rope), q_(store, name + ".q_proj"), k_(store, name + ".k_proj"), v_(store, name + ".v_proj"), o_(store, name + ".o_proj"),
        q_norm_(store.at(name + ".q_norm.weight")), k_norm_(store.at(name + ".k_norm.weight")) {}

  //   hidden   [tokens, hidden], in the linears' precision
  //   returns  [tokens, hidden], float32
  at::Tensor forward(const at::Tensor& hidden, const nn::ForwardContext& context, std::int64_t layer) const;

 private:
  const Qwen3NextConfig& config_;
  const nn::RopeTable& rope_;
  nn::Linear q_, k_, v_, o_;
  const nn::Parameter &q_norm_, &k_norm_;
};

}  // namespace sluice::models
