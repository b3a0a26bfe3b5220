// Many prompts answered greedily.
#pragma once
#include <cstdint>
#include <vector>

#include "sluice/generate/loaded_model.h"

namespace sluice::eval {

struct GreedyOptions {
  std::int64_t batch_size = 8;         // prompts of one length that run side by side
  std::int64_t max_tokens = 32;         // of an answer with the token that ends it; fewer where the model has no more positions
  std::vector<std::int32_t> stop_ids;  // tokens that end an answer
};

// The answer to each of `prompts`, without the token that ended it. A prompt that fills the model's positions has an empty one.
std::vector<std::vector<std::int32_t>> greedy_answers(const generate::Runnable& runnable, const std::vector<std::vector<std::int32_t>>& prompts, const GreedyOptions& options);

}  // namespace sluice::eval
