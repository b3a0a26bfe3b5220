#include "sluice/nn/lora.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>

#include "sluice/base/rng.h"

namespace sluice::nn {
namespace {

bool leaves_out(const LowRank& change) { return change.dropout && change.dropout->active && change.dropout->rate > 0; }

at::Tensor tokens_of(const Dropout& dropout, std::int64_t count) {
  const auto set = std::ranges::find_if(dropout.tokens, [&](const at::Tensor& tokens) { return tokens.size(0) == count; });
  return set == dropout.tokens.end() ? at::arange(count) : *set;  // one document alone, as in a delta net: by position
}

// Where in the whole tensor the part that is held here begins.
std::int64_t first_of(const ParameterSpec& spec, std::size_t dimension) { return spec.is_whole() ? 0 : spec.part.pieces[0].from[dimension]; }

// What each element of an input is multiplied by: 0 for those left out, the others larger by as much as that takes on average.
//   tokens   [rows]
//   returns  [rows, columns], float32: columns first_column, ... of the whole input
at::Tensor factors(const Dropout& dropout, std::uint64_t key, const at::Tensor& tokens, std::int64_t first_column, std::int64_t columns) {
  const at::Tensor out = at::empty({tokens.size(0), columns});
  const auto* token = tokens.data_ptr<std::int64_t>();
  auto* factor = out.data_ptr<float>();
  const auto limit = static_cast<std::uint64_t>(dropout.rate * 0x1.0p32);
  const auto kept = static_cast<float>(1 / (1 - dropout.rate));
  at::parallel_for(0, tokens.size(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      std::array<std::uint32_t, 4> words{};
      for (std::int64_t c = 0; c < columns; ++c) {
        const auto column = static_cast<std::uint64_t>(first_column + c);
        if (c == 0 || column % 4 == 0) words = philox(key, static_cast<std::uint64_t>(token[t]), column / 4);
        factor[t * columns + c] = words[column % 4] < limit ? 0 : kept;
      }
    }
  });
  return out;
}

// `expert` is counted from the first one here; 0 for a matrix.
at::Tensor dropped_out(const at::Tensor& x, const LowRank& change, std::int64_t expert, const at::Tensor& tokens) {
  if (!leaves_out(change)) return x;
  const ParameterSpec& spec = change.a->spec;
  const std::int64_t number = spec.shape.size() == 3 ? first_of(spec, 0) + expert : 0;
  const std::uint64_t key = philox_seed(change.dropout->seed ^ hash_name(spec.name), change.dropout->step, static_cast<std::uint64_t>(number));
  return x * factors(*change.dropout, key, tokens, first_of(spec, spec.shape.size() - 1), x.size(1));
}

struct Pair {
  at::Tensor a, b;  // [rank, in], [out, rank]
};

at::Tensor product(const at::Tensor& x, const LowRank& change, const Pair& pair, std::int64_t expert, const at::Tensor& tokens) {
  return at::linear(at::linear(dropped_out(x.to(at::kFloat), change, expert, tokens), pair.a), pair.b) * change.scale;
}

void add(at::Tensor& sum, const at::Tensor& term) { sum = sum.defined() ? sum + term : term; }

// The sum of what `part` gives for each change, as one tensor whose last dimension is the weight's rows: gate rows before up rows.
template <class Part>
at::Tensor sum_of(const std::vector<LowRank>& changes, const Part& part) {
  at::Tensor all, gate, up;
  for (const LowRank& change : changes) add(change.rows == LowRank::Rows::kAll ? all : change.rows == LowRank::Rows::kGate ? gate : up, part(change));
  if (!gate.defined() && !up.defined()) return all;
  add(all, at::cat({gate.defined() ? gate : at::zeros_like(up), up.defined() ? up : at::zeros_like(gate)}, -1));
  return all;
}

}  // namespace

at::Tensor low_rank_product(const at::Tensor& x, const Parameter& weight) {
  const at::Tensor tokens = dropout_tokens(weight, x.size(0));
  return sum_of(weight.adapters, [&](const LowRank& change) { return product(x, change, {change.a->value, change.b->value}, 0, tokens); });
}

at::Tensor low_rank_product(const at::Tensor& x, const Parameter& weight, std::int64_t expert, const at::Tensor& tokens) {
  return sum_of(weight.adapters, [&](const LowRank& change) { return product(x, change, {change.a->value[expert], change.b->value[expert]}, expert, tokens); });
}

at::Tensor dropout_tokens(const Parameter& weight, std::int64_t count) {
  const auto change = std::ranges::find_if(weight.adapters, leaves_out);
  return change == weight.adapters.end() ? at::Tensor() : tokens_of(*change->dropout, count);
}

at::Tensor merged_change(const Parameter& weight) {
  const at::NoGradGuard no_grad;
  const at::Tensor delta = sum_of(weight.adapters, [](const LowRank& change) { return (at::matmul(change.b->value, change.a->value) * change.scale).transpose(-2, -1); });
  return delta.defined() ? delta.transpose(-2, -1) : delta;
}

at::Tensor merged_value(const Parameter& weight) {
  const at::Tensor value = weight.value.detach(), delta = merged_change(weight);
  return delta.defined() ? (value.to(at::kFloat) + delta).to(value.scalar_type()) : value;
}

}  // namespace sluice::nn
