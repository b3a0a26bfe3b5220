#include "sluice/kernels/cpu/decode_attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "sluice/kernels/cpu/simd.h"

namespace sluice::kernels::cpu {
namespace {

constexpr std::int64_t kMostVectors = 16;  // of 16 values: a head_dim of 256

// q k^T of one query and one key.
float score(const Bf16* q, const Bf16* k, std::int64_t head_dim) {
  __m512 sum = _mm512_setzero_ps();
  for (std::int64_t d = 0; d < head_dim; d += 32) {
    const __mmask32 mask = lanes32(head_dim - d);
    sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_maskz_loadu_epi16(mask, q + d), (__m512bh)_mm512_maskz_loadu_epi16(mask, k + d));
  }
  return _mm512_reduce_add_ps(sum);
}

// weight[0 .. count) becomes its softmax.
void softmax(float* weight, std::int64_t count) {
  const float largest = *std::max_element(weight, weight + count);
  float sum = 0;
  for (std::int64_t t = 0; t < count; ++t) sum += weight[t] = std::exp(weight[t] - largest);
  for (std::int64_t t = 0; t < count; ++t) weight[t] /= sum;
}

// out = sum over t of weight[t] v[t].
void weighted_sum(const float* weight, std::int64_t count, const Bf16* v, std::int64_t head_dim, Bf16* out) {
  __m512 sum[kMostVectors];
  const std::int64_t vectors = head_dim / 16;
  for (std::int64_t j = 0; j < vectors; ++j) sum[j] = _mm512_setzero_ps();
  for (std::int64_t t = 0; t < count; ++t) {
    const __m512 w = _mm512_set1_ps(weight[t]);
    for (std::int64_t j = 0; j < vectors; ++j) sum[j] = _mm512_fmadd_ps(w, load(v + t * head_dim + 16 * j), sum[j]);
  }
  for (std::int64_t j = 0; j < vectors; ++j) store(out + 16 * j, sum[j]);
}

}  // namespace

bool decode_supported(const DecodeShape& s) {
  return s.head_dim % 16 == 0 && s.head_dim <= 16 * kMostVectors && s.heads % s.kv_heads == 0 && s.begin < s.end && s.end <= s.capacity;
}

void decode_attention(const DecodeShape& s, const Bf16* q, const Bf16* k, const Bf16* v, Bf16* out) {
  const std::int64_t group = s.heads / s.kv_heads, count = s.end - s.begin;
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < s.rows * s.kv_heads; ++i) {
    const std::int64_t from = (i * s.capacity + s.begin) * s.head_dim, query = i * group * s.head_dim;
    std::vector<float> weight(static_cast<std::size_t>(group * count));
    for (std::int64_t t = 0; t < count; ++t) {
      for (std::int64_t g = 0; g < group; ++g) {
        weight[static_cast<std::size_t>(g * count + t)] = s.scale * score(q + query + g * s.head_dim, k + from + t * s.head_dim, s.head_dim);
      }
    }
    for (std::int64_t g = 0; g < group; ++g) {
      softmax(weight.data() + g * count, count);
      weighted_sum(weight.data() + g * count, count, v + from, s.head_dim, out + query + g * s.head_dim);
    }
  }
}

}  // namespace sluice::kernels::cpu
