#include "sluice/generate/generate.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/generate/draft.h"
#include "sluice/nn/head.h"
#include "sluice/parallel/apply.h"

namespace sluice::generate {
namespace {

void check(const Runnable& runnable, const std::vector<std::vector<std::int32_t>>& prompts, const GenerateOptions& options) {
  Violations violations;
  options.sampling.check(violations);
  if (options.max_tokens < 1) violations.add("max_tokens = " + std::to_string(options.max_tokens) + " asks for no token", "use at least 1");
  violations.raise("cannot generate");
  if (options.draft == Draft::kMtp && !runnable.model.multi_token_predictor()) {
    throw Error("a draft by multi-token prediction needs a predictor, and this model holds none",
                "leave --draft out, or give a checkpoint with its tensors (DeepSeek-V3, GLM-4.5 or Qwen3-Next: docs/models.md)");
  }
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    require_runnable(runnable, prompts[i], options.max_tokens, "prompt " + std::to_string(options.first_index + i + 1));
    SLUICE_CHECK(prompts[i].size() == prompts[0].size(), "prompts that run side by side have one length");
  }
}

// Logits after the last of each row's tokens [rows, vocab], float32. Rows of `ids` are the cache's next tokens.
at::Tensor next_logits(const Runnable& runnable, const at::Tensor& ids, nn::KvCache& cache) {
  const std::int64_t rows = ids.size(0), seq = ids.size(1);
  const nn::ForwardContext context{{rows, seq, {}, {}, {}}, runnable.model.seams(), nn::Mode::kInference, 0, &cache};
  const at::Tensor hidden = parallel::forward(runnable.model, ids.reshape({-1}), context, parallel::Recompute::kNone).hidden;
  cache.length += seq;
  return nn::head_logits(hidden.view({rows, seq, -1}).select(1, seq - 1).contiguous(), runnable.model.head()).contiguous();
}

}  // namespace

std::vector<std::vector<std::int32_t>> generate(const Runnable& runnable, const std::vector<std::vector<std::int32_t>>& prompts,
                                                const GenerateOptions& options, const OnToken& on_token) {
  check(runnable, prompts, options);
  std::vector<std::vector<std::int32_t>> out(prompts.size()), seen = prompts;
  if (prompts.empty()) return out;
  const at::NoGradGuard no_grad;
  if (options.draft == Draft::kMtp) {
    for (std::size_t row = 0; row < prompts.size(); ++row) out[row] = generate_with_predictor(runnable, prompts[row], row, options, on_token);
    return out;
  }
  const auto rows = static_cast<std::int64_t>(prompts.size()), length = static_cast<std::int64_t>(prompts[0].size());
  nn::KvCache cache = runnable.model.make_cache(rows, length + options.max_tokens);
  at::Tensor ids = at::empty({rows, length}, at::kLong);
  for (std::int64_t row = 0; row < rows; ++row)
    std::ranges::copy(prompts[static_cast<std::size_t>(row)], ids[row].data_ptr<std::int64_t>());
  std::vector<Rng> rngs;
  for (std::size_t row = 0; row < prompts.size(); ++row) rngs.emplace_back(options.seed, options.first_index + row);

  const std::vector<std::int32_t>& stops = options.stop_ids;
  std::vector<char> ended(prompts.size(), 0);
  for (std::int64_t step = 0; step < options.max_tokens; ++step) {
    const at::Tensor logits = next_logits(runnable, ids, cache);
    ids = at::zeros({rows, 1}, at::kLong);  // a row that has ended goes on with token 0, which nothing looks at
    for (std::size_t row = 0; row < prompts.size(); ++row) {
      if (ended[row]) continue;
      const std::span<float> of_row(logits.data_ptr<float>() + static_cast<std::int64_t>(row) * logits.size(1),
                                    static_cast<std::size_t>(logits.size(1)));
      penalize_repetition(of_row, seen[row], options.sampling.repetition_penalty);
      const std::int32_t id = choose(of_row, options.sampling, rngs[row]);
      ids.data_ptr<std::int64_t>()[row] = id;
      out[row].push_back(id);
      seen[row].push_back(id);
      const Next next = on_token ? on_token(row, id) : Next::kGoOn;
      ended[row] = next == Next::kEnd || std::ranges::find(stops, id) != stops.end();
    }
    if (std::ranges::all_of(ended, [](char e) { return e != 0; })) break;
  }
  return out;
}

}  // namespace sluice::generate
