#include "sluice/eval/greedy_answers.h"

#include <algorithm>
#include <map>

#include "sluice/base/error.h"
#include "sluice/generate/generate.h"

namespace sluice::eval {
namespace {

// Prompts that can run side by side, by their indices.
std::vector<std::vector<std::size_t>> batches_of(const std::vector<std::vector<std::int32_t>>& prompts, std::int64_t batch_size) {
  std::map<std::size_t, std::vector<std::size_t>> open;
  std::vector<std::vector<std::size_t>> batches;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    auto& batch = open[prompts[i].size()];
    batch.push_back(i);
    if (static_cast<std::int64_t>(batch.size()) == batch_size) batches.push_back(std::move(batch)), batch.clear();
  }
  for (auto& [length, batch] : open) {
    if (!batch.empty()) batches.push_back(std::move(batch));
  }
  return batches;
}

}  // namespace

std::vector<std::vector<std::int32_t>> greedy_answers(const generate::Runnable& runnable, const std::vector<std::vector<std::int32_t>>& prompts, const GreedyOptions& options) {
  SLUICE_CHECK(options.batch_size > 0, "prompts run at least one at a time");
  std::vector<std::vector<std::int32_t>> out(prompts.size());
  for (const std::vector<std::size_t>& batch : batches_of(prompts, options.batch_size)) {
    generate::GenerateOptions generation;
    generation.max_tokens = std::min(options.max_tokens, runnable.config.max_positions() - static_cast<std::int64_t>(prompts[batch[0]].size()));
    generation.stop_ids = options.stop_ids;
    if (generation.max_tokens < 1) continue;
    std::vector<std::vector<std::int32_t>> together;
    for (const std::size_t i : batch) together.push_back(prompts[i]);
    auto answers = generate::generate(runnable, together, generation);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (!answers[i].empty() && std::ranges::find(options.stop_ids, answers[i].back()) != options.stop_ids.end()) answers[i].pop_back();
      out[batch[i]] = std::move(answers[i]);
    }
  }
  return out;
}

}  // namespace sluice::eval
