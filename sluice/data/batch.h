// Rows of unequal length side by side: what a model's step takes.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "sluice/data/sample.h"

namespace sluice::data {

// Row-major [rows, seq], rows padded on the right to the longest. Padding has label kNotTrained and real 0.
struct Batch {
  std::int64_t rows = 0, seq = 0;
  std::vector<std::int64_t> ids, labels;    // [rows, seq]
  std::vector<std::uint8_t> real;           // [rows, seq]
  std::vector<std::int32_t> expert_label;   // [rows]
  std::vector<std::int32_t> prompt_length;  // [rows]
  // As in nn::SequenceShape: first token of each document among all of the batch, then their number. Empty when no row is packed.
  std::vector<std::int64_t> documents;
  std::vector<float> weights;       // [rows, seq]; empty when every label counts 1
  std::int64_t target_tokens = 0;   // labels[:, 1:] that are trained on
  double target_weight = 0;         // their weights together: the divisor of the loss
  std::int64_t real_tokens = 0;
};

// `samples` has at least one; `pad_id` fills, and its value changes nothing. `seq` becomes a multiple of `multiple`.
Batch make_batch(std::span<const Sample> samples, std::int64_t pad_id, std::int64_t multiple = 1);

}  // namespace sluice::data
