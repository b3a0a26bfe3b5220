// Speculative decoding (Leviathan et al., arXiv:2211.17192) with the model's own multi-token predictor as the draft, as DeepSeek-V3 does
// (arXiv:2412.19437, section 5.4.3): from the hidden state at a token and the token chosen next, the predictor guesses the one after it;
// the next pass over the model reads both, which costs little more than one where weights are what is read, and says whether the guess
// holds.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sluice/generate/generate.h"

namespace sluice::generate {

// The new ids of prompt number `row`, as generate() gives them: greedy the same tokens as without a draft, sampled ones of the same
// distribution (a seed gives other draws than without). The model has a multi-token predictor; gradients are off.
std::vector<std::int32_t> generate_with_predictor(const Runnable& runnable, const std::vector<std::int32_t>& prompt, std::size_t row,
                                                  const GenerateOptions& options, const OnToken& on_token);

}  // namespace sluice::generate
