// The gated delta net (Yang et al., arXiv:2412.06464) as Qwen3-Next has it: a short causal convolution, the gated delta rule, a gated norm.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "sluice/nn/forward.h"
#include "sluice/nn/linear.h"

namespace sluice::nn {

struct DeltaNetSizes {
  std::int64_t key_heads = 0, value_heads = 0;  // each key head, and its query, serves value_heads / key_heads value heads
  std::int64_t key_dim = 0, value_dim = 0;      // of one head
  std::int64_t kernel = 0;                      // tokens under the convolution
  double eps = 0;                               // of the gated norm
  std::int64_t channels() const { return 2 * key_heads * key_dim + value_heads * value_dim; }
};

// With r = value_heads / key_heads, the parameters under `name` are
//   .in_proj_qkvz.weight  [2 key_heads key_dim + 2 value_heads value_dim, hidden], for each key head: query, key, r values, r gates z
//   .in_proj_ba.weight    [2 value_heads, hidden], for each key head: r of b (beta before its sigmoid), r of a (decay)
//   .conv1d.weight        [channels, kernel], float32; channels: all queries, all keys, all values; the last tap is the token itself
//   .A_log, .dt_bias      [value_heads], float32: log_decay = -exp(A_log) softplus(a + dt_bias)
//   .norm.weight          [value_dim], float32
//   .out_proj.weight      [hidden, value_heads value_dim]
// Under a tensor split each rank has some of the key heads with the value heads that they serve, or where these do not divide all. Ranks that share
// out positions share out those heads for the convolution and the rule: by key heads, or where the ranks are more than these, a key head goes to several,
// which have some of its value heads each. Convolution and state begin anew with each document of packed rows.
class GatedDeltaNet {
 public:
  GatedDeltaNet(ParameterStore& store, const std::string& name, const DeltaNetSizes& sizes);

  // Padding counts as zeros. With a cache, its tokens go before, and their convolution inputs and state are kept in it.
  //   hidden   [tokens, hidden], in the linears' precision
  //   returns  [tokens, hidden], float32
  at::Tensor forward(const at::Tensor& hidden, const ForwardContext& context, std::int64_t layer) const;

 private:
  // The heads that a rank has all tokens of, among those whose weights it holds.
  struct Share {
    std::int64_t first_key = 0, keys = 0, first_value = 0, values = 0;
    std::int64_t copies = 1;  // ranks that have the same key head, each with some of its value heads
  };
  Share share_of(const AttentionCore::HeadShare& ranks) const;
  // Convolution and delta rule.   inputs [tokens, keys, width]: query, key, values, b, a   returns [tokens, values, value_dim], float32
  at::Tensor along_sequences(const at::Tensor& inputs, const SequenceShape& shape, const Share& share, LayerCache* cache) const;
  at::Tensor convolved(const at::Tensor& mixed, const Share& share, LayerCache* cache) const;
  at::Tensor taps_of(const Share& share) const;  // [channels of the share, kernel]
  at::Tensor unit_heads(const at::Tensor& x, std::int64_t times) const;

  DeltaNetSizes sizes_;
  Linear in_proj_qkvz_, in_proj_ba_, out_proj_;
  const Parameter &conv_, &a_log_, &dt_bias_, &norm_;
};

// The cache before the first token: zeros.
LayerCache make_delta_net_cache(const DeltaNetSizes& sizes, std::int64_t rows, at::ScalarType dtype);

}  // namespace sluice::nn
