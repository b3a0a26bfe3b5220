// Continues prompts token by token, with a cache of keys and values.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "sluice/generate/loaded_model.h"
#include "sluice/generate/sampling.h"

namespace sluice::generate {

// What guesses tokens ahead, so that one pass over the model checks a guess and gives the token after it: nothing, or the model's own
// multi-token prediction (sluice/generate/draft.h). Which tokens come is the same with and without, but for rounding.
enum class Draft { kNone, kMtp };
constexpr std::array<std::string_view, 2> names(Draft) { return {"none", "mtp"}; }

// Tokens that a draft guessed, and those of them that were taken.
struct DraftCounts {
  std::int64_t guessed = 0, taken = 0;
};

struct GenerateOptions {
  std::int64_t max_tokens = 64;  // most new tokens of a prompt
  Sampling sampling;
  std::uint64_t seed = 0;
  std::uint64_t first_index = 0;       // of the first prompt; prompt i draws from Rng(seed, first_index + i), whatever runs beside it
  std::vector<std::int32_t> stop_ids;  // tokens that end a text; empty = only max_tokens does
  Draft draft = Draft::kNone;
  DraftCounts* draft_counts = nullptr;  // added to, where given
};

// Whether a text goes on after a token.
enum class Next { kGoOn, kEnd };

// Called with each new token as it is known: the prompt's place among `prompts`, and the id.
using OnToken = std::function<Next(std::size_t prompt, std::int32_t id)>;

// The new ids of each prompt; the stop id that ended a text, or the one that on_token ended it at, is its last. Prompts have one length and
// run side by side: one pass over all of their tokens, then one token each at a time, with only the last position going through the head;
// with a draft one after the other, since each is taken at its own pace. No gradients. Error when a prompt is empty, has an id outside the
// vocabulary, or has more tokens, with max_tokens, than the model has positions; and when the model lacks what the draft needs.
std::vector<std::vector<std::int32_t>> generate(const Runnable& runnable, const std::vector<std::vector<std::int32_t>>& prompts,
                                                const GenerateOptions& options, const OnToken& on_token = {});

}  // namespace sluice::generate
