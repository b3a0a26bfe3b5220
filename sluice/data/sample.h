// One row of training data as token ids: what readers make and batches are made of.
#pragma once
#include <cstdint>
#include <vector>

namespace sluice::data {

inline constexpr std::int32_t kNotTrained = -100;  // the label of a position without a loss, as in PyTorch and HF
inline constexpr std::int32_t kNoExpertLabel = -1;

// ids, labels and real have one entry a token. A label is the id at its own position; the model shifts, so labels[0] is never used.
struct Sample {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> labels;            // an id, or kNotTrained
  std::vector<std::uint8_t> real;              // 1: a token; 0: filling, which is neither attended to, routed nor counted
  std::int32_t prompt_length = 0;              // tokens before the first that is trained on; all of them when none is
  std::int32_t expert_label = kNoExpertLabel;  // index into kCategoryNames
  // Of a packed row: the first token of each document, rising from 0, of filling too. Empty: the row is one document.
  std::vector<std::int32_t> documents;
  std::vector<float> weights;  // one a token: how much its label counts in the loss, > 0. Empty: 1 each
};

// Positions of `sample` that have a loss: trained labels from the second on (nothing comes before the first).
std::int64_t target_tokens(const Sample& sample);

}  // namespace sluice::data
