#include "sluice/nn/delta_rule.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace sluice::nn {
namespace {

at::Tensor start_of(const DeltaRuleInput& in, const at::Tensor& state) {
  return state.defined() ? state : at::zeros({in.key.size(0), in.key.size(1), in.key.size(3), in.value.size(3)}, in.key.options());
}

// [rows, heads, seq, ...] -> [rows, heads, chunks, chunk, ...]; zeros fill the last chunk: with beta = 0 and no decay they leave the state alone.
at::Tensor in_chunks(const at::Tensor& x, std::int64_t chunk) {
  const std::int64_t seq = x.size(2), missing = (chunk - seq % chunk) % chunk;
  const at::Tensor whole = missing == 0 ? x : at::cat({x, at::zeros_like(x.narrow(2, 0, 1)).repeat_interleave(missing, 2)}, 2);
  return whole.unflatten(2, {(seq + missing) / chunk, chunk});
}

}  // namespace

DeltaRuleOutput delta_rule_by_token(const DeltaRuleInput& in, const at::Tensor& state) {
  at::Tensor s = start_of(in, state);
  std::vector<at::Tensor> out;
  for (std::int64_t t = 0; t < in.key.size(2); ++t) {
    const at::Tensor k = in.key.select(2, t).unsqueeze(3), q = in.query.select(2, t).unsqueeze(3);  // [rows, heads, key_dim, 1]
    s = s * in.log_decay.select(2, t).exp().view({s.size(0), s.size(1), 1, 1});
    const at::Tensor held = (s * k).sum(2);                                                          // [rows, heads, value_dim]
    const at::Tensor d = (in.value.select(2, t) - held) * in.beta.select(2, t).unsqueeze(2);
    s = s + k * d.unsqueeze(2);
    out.push_back((s * q).sum(2));
  }
  return {at::stack(out, 2), s};
}

DeltaRuleOutput delta_rule_by_chunk(const DeltaRuleInput& in, const at::Tensor& state, std::int64_t chunk) {
  const std::int64_t seq = in.key.size(2);
  chunk = std::min(chunk, seq);
  const at::Tensor q = in_chunks(in.query, chunk), k = in_chunks(in.key, chunk), v = in_chunks(in.value, chunk);
  const at::Tensor beta = in_chunks(in.beta, chunk).unsqueeze(4);
  const at::Tensor total = in_chunks(in.log_decay, chunk).cumsum(3);  // G: decay since the chunk's start [rows, heads, chunks, chunk]
  const at::Tensor last = total.narrow(3, chunk - 1, 1);
  // decay_ij = exp(G_i - G_j) from token j to a later token i; masked before exp, which would overflow above the diagonal.
  const at::Tensor later = at::ones({chunk, chunk}, in.key.options().dtype(at::kBool)).triu(1);
  const at::Tensor decay = (total.unsqueeze(4) - total.unsqueeze(3)).masked_fill(later, -std::numeric_limits<float>::infinity()).exp();

  // What each token writes depends on those before it in the chunk: (I + A) d = beta (v - exp(G) k S), A strictly lower triangular.
  const at::Tensor a = (at::matmul(k * beta, k.transpose(3, 4)) * decay).tril(-1);
  const at::Tensor right = at::cat({v * beta, k * beta * total.exp().unsqueeze(4)}, 4);
  const at::Tensor solved = at::linalg_solve_triangular(a, right, /*upper=*/false, /*left=*/true, /*unitriangular=*/true);
  const at::Tensor written = solved.narrow(4, 0, v.size(4)), read = solved.narrow(4, v.size(4), k.size(4));

  const at::Tensor within = at::matmul(q, k.transpose(3, 4)) * decay;
  const at::Tensor q_from_start = q * total.exp().unsqueeze(4), k_to_end = k * (last - total).exp().unsqueeze(4);
  at::Tensor s = start_of(in, state);
  std::vector<at::Tensor> out;
  for (std::int64_t c = 0; c < q.size(2); ++c) {
    const at::Tensor d = written.select(2, c) - at::matmul(read.select(2, c), s);  // [rows, heads, chunk, value_dim]
    out.push_back(at::matmul(q_from_start.select(2, c), s) + at::matmul(within.select(2, c), d));
    s = s * last.select(2, c).exp().unsqueeze(3) + at::matmul(k_to_end.select(2, c).transpose(2, 3), d);
  }
  return {at::cat(out, 2).narrow(2, 0, seq), s};
}

}  // namespace sluice::nn
