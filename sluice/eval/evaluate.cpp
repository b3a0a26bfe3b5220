#include "sluice/eval/evaluate.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/eval/answers.h"
#include "sluice/eval/exact_match.h"
#include "sluice/eval/loss_groups.h"
#include "sluice/eval/routing_figures.h"
#include "sluice/loss/objective.h"
#include "sluice/parallel/apply.h"

namespace sluice::eval {
namespace {

data::Batch batch_of(const data::Dataset& dataset, std::int64_t begin, std::int64_t end) {
  std::vector<data::Sample> samples;
  for (std::int64_t row = begin; row < end; ++row) samples.push_back(dataset.at(row));
  return data::make_batch(samples, /*pad_id=*/0);
}

void require_fits(const generate::Runnable& runnable, const data::Dataset& dataset, const EvaluateOptions& options) {
  SLUICE_CHECK(options.batch_size > 0, "rows run at least one at a time");
  if (dataset.counts().longest_row > runnable.config.max_positions()) {
    throw Error("the longest row of " + dataset.path().string() + " has " + std::to_string(dataset.counts().longest_row) +
                    " tokens, and the model has " + std::to_string(runnable.config.max_positions()) +
                    " positions (max_position_embeddings)",
                "cut the rows, for example with a smaller seq_length");
  }
  SLUICE_CHECK(!options.supervision || options.supervision->categories == options.categories.names(), "labels are read by the categories that were supervised");
  if (options.supervision) options.supervision->require_fits(runnable.config.moe(), kRoutingFileName);
}

parallel::Pass forward(const generate::Runnable& runnable, const loss::BatchTensors& tensors, const EvaluateOptions& options) {
  const nn::ForwardContext context{tensors.shape, runnable.model.seams(), nn::Mode::kInference, options.expert_capacity_factor};
  return parallel::forward(runnable.model, tensors.ids, context, parallel::Recompute::kNone);
}

}  // namespace

monitor::Evaluation evaluate(const generate::Runnable& runnable, const data::Dataset& dataset, const EvaluateOptions& options) {
  require_fits(runnable, dataset, options);
  const at::NoGradGuard no_grad;
  const models::MoeShape moe = runnable.config.moe();
  RoutingCollector routing(moe, options.categories.size(), options.supervision);
  double loss_sum = 0, weight = 0;
  LossGroups groups;
  for (std::int64_t begin = 0; begin < dataset.size(); begin += options.batch_size) {
    const std::int64_t end = std::min(dataset.size(), begin + options.batch_size);
    const data::Batch batch = batch_of(dataset, begin, end);
    const loss::BatchTensors tensors = loss::to_tensors(batch, loss::Tokens::kAll);
    const parallel::Pass pass = forward(runnable, tensors, options);
    if (batch.target_tokens > 0) {
      const double sum = loss::weighted_cross_entropy(pass.hidden, runnable.model.head(), tensors, 1.0).item<double>();
      groups.add(pass.hidden, runnable.model.head(), batch, tensors, sum);
      loss_sum += sum;
      weight += tensors.target_weight;
    }
    if (moe.num_layers > 0) routing.add(pass.routers, batch);
    if (options.on_progress) options.on_progress(end);
  }
  monitor::Evaluation out;
  out.lm_loss = loss_sum / weight;
  out.perplexity = std::exp(*out.lm_loss);
  groups.fill(out, options.categories);
  if (moe.num_layers > 0) out.routing = routing.figures();
  if (options.answered_rows > 0) {
    SLUICE_CHECK(options.tokenizer, "answers need a tokenizer");
    const AnswerScores scores = score_answers(runnable, dataset, *options.tokenizer, {options.answered_rows, options.batch_size, options.max_target_length});
    out.exact_match = scores.exact_match;
    out.rouge_l = scores.rouge_l;
  }
  if (options.exact_match_rows > 0) {
    SLUICE_CHECK(options.tokenizer, "exact match needs a tokenizer");
    out.exact_match =
        exact_match(runnable, dataset, *options.tokenizer, {options.exact_match_rows, options.batch_size, options.max_target_length});
  }
  return out;
}

std::int32_t read_back_label(const generate::Runnable& runnable, const data::Sample& sample, const EvaluateOptions& options) {
  SLUICE_CHECK(options.supervision, "a label is read back by what labels prefer");
  const at::NoGradGuard no_grad;
  const data::Batch batch = data::make_batch({&sample, 1}, /*pad_id=*/0);
  RoutingCollector routing(runnable.config.moe(), options.categories.size(), options.supervision);
  return routing.add(forward(runnable, loss::to_tensors(batch, loss::Tokens::kAll), options).routers, batch)[0];
}

}  // namespace sluice::eval
