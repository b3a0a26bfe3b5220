// Rotary position embedding (Su et al., arXiv:2104.09864) and the ways of stretching it to longer texts.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "sluice/nn/forward.h"

namespace sluice::nn {

enum class RopeType { kDefault, kLinear, kLlama3, kYarn, kDynamic, kLongrope };
constexpr std::array<std::string_view, 6> names(RopeType) { return {"default", "linear", "llama3", "yarn", "dynamic", "longrope"}; }

// How the frequencies are changed for texts longer than those of training. Names and meanings are HF's (config.json, rope_parameters).
//   linear    all frequencies divided by factor (arXiv:2306.15595)
//   llama3    wavelengths above original / low_freq_factor divided by factor, those below original / high_freq_factor kept, a ramp between
//   yarn      arXiv:2309.00071, with cos and sin times an attention factor
//   dynamic   a larger theta for texts longer than the model's max_position_embeddings, by their length; others as they are
//   longrope  arXiv:2402.13753: each frequency divided by an element of short_factor, in texts longer than original of long_factor; cos and
//             sin times an attention factor
struct RopeScaling {
  RopeType rope_type = RopeType::kDefault;
  std::optional<double> factor;                                  // the model's max_position_embeddings / original when unset
  std::optional<std::int64_t> original_max_position_embeddings;  // the model's max_position_embeddings when unset
  double low_freq_factor = 1, high_freq_factor = 4;              // llama3
  double beta_fast = 32, beta_slow = 1;                          // yarn: turns over the original length where the ramp begins and ends
  std::optional<double> mscale, mscale_all_dim, attention_factor;
  bool truncate = true;                                     // yarn: the ramp's ends are whole dimensions
  std::vector<double> short_factor = {}, long_factor = {};  // longrope: one element a pair of dimensions

  void fields(auto&& field) {
    field("rope_type", rope_type, "default, linear, llama3, yarn, dynamic or longrope.");
    field("factor", factor,
          "How many times longer texts may be than original_max_position_embeddings; yarn and longrope: max_position_embeddings / it when "
          "null.");
    field("original_max_position_embeddings", original_max_position_embeddings, "Longest text of training before it was stretched.");
    field("low_freq_factor", low_freq_factor, "llama3: wavelengths above original / this are divided by factor.");
    field("high_freq_factor", high_freq_factor, "llama3: wavelengths below original / this are kept.");
    field("beta_fast", beta_fast, "yarn: dimensions that turn more often than this over the original length are kept.");
    field("beta_slow", beta_slow, "yarn: dimensions that turn less often than this are divided by factor.");
    field("mscale", mscale, "yarn: with mscale_all_dim, sets the factor on cos and sin (DeepSeek).");
    field("mscale_all_dim", mscale_all_dim, "yarn: also scales attention's scores (DeepSeek).");
    field("attention_factor", attention_factor,
          "yarn, longrope: the factor on cos and sin; when null 0.1 ln(factor) + 1, or sqrt(1 + ln(factor) / ln(original)).");
    field("truncate", truncate, "yarn: whether the ramp's ends are rounded to whole dimensions.");
    field("short_factor", short_factor, "longrope: divisors of the frequencies in texts up to original_max_position_embeddings.");
    field("long_factor", long_factor, "longrope: divisors of the frequencies in longer texts.");
  }
};

// What frequencies follow from: theta^(-2i / rotary), changed by `scaling`. `positions` is the model's max_position_embeddings.
struct RopeSettings {
  std::int64_t positions = 0, rotary = 0;
  double theta = 0;
  RopeScaling scaling;
};

// cos and sin of position * frequency, float32 [positions, rotary / 2]. Where frequencies depend on a text's length (dynamic, longrope)
// they are those of texts no longer than the table, and `longer` is what the others' follow from.
struct RopeTable {
  at::Tensor cos, sin;
  std::optional<RopeSettings> longer = std::nullopt;
};
RopeTable make_rope_table(std::int64_t positions, std::int64_t rotary, double theta, const RopeScaling& scaling = {});

// The factor by which texts are longer than those of training, given or not; `positions` is the model's max_position_embeddings.
double stretch(const RopeScaling& scaling, std::int64_t positions);

// yarn's 0.1 m ln(factor) + 1, or 1 where nothing is stretched.
double yarn_magnitude(double factor, double m);

// On cos and sin: yarn's and longrope's, given or not; else 1.
double attention_factor(const RopeScaling& scaling, std::int64_t positions);

// Rotates the first rotary dimensions of every head, half-split: dimensions i and i + rotary/2 form a pair.
//   x        [rows * seq, heads, head_dim]
//   returns  the same shape and precision; the rotation itself is float32
// A text's length is that of its row so far, padding included, or of the longest packed document. In generation it grows token by token:
// earlier keys keep the rotation that they got, as in transformers.
at::Tensor apply_rope(const at::Tensor& x, const RopeTable& table, const Positions& positions);

// The same for weights whose pairs are neighbours, dimensions 2i and 2i + 1 (DeepSeek). The result stands half-split: queries and keys
// that both went through here have the right products.   x [rows * seq, heads, rotary]
at::Tensor apply_rope_to_neighbours(const at::Tensor& x, const RopeTable& table, const Positions& positions);

}  // namespace sluice::nn
