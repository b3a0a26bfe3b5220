// A model against a data set: loss, perplexity, routing, exact match.
#pragma once
#include <cstdint>
#include <functional>

#include "sluice/data/dataset.h"
#include "sluice/eval/routing_file.h"
#include "sluice/generate/loaded_model.h"
#include "sluice/monitor/evaluation.h"
#include "sluice/text/tokenizer.h"

namespace sluice::eval {

struct EvaluateOptions {
  std::int64_t batch_size = 8;               // rows that run at once; changes nothing but speed, as long as no assignment is dropped
  double expert_capacity_factor = 0;         // as in training; 0 = dropless
  data::Categories categories = {};          // that the rows' labels are of
  const RoutingFile* supervision = nullptr;  // what labels prefer; without it routing accuracy and KL are absent
  // Exact match over the first so many rows of a qa data set, by `tokenizer`; 0 = not measured.
  std::int64_t exact_match_rows = 0;
  // The same over the first so many conversations of a set that has them, with ROUGE-L; 0 = not measured.
  std::int64_t answered_rows = 0;
  const text::Tokenizer* tokenizer = nullptr;
  std::int64_t max_target_length = 32;                 // most tokens of an answer
  std::function<void(std::int64_t rows)> on_progress;  // after each batch of the loss: rows done; may be empty
};

//   lm_loss     mean over all trained tokens of the set of -log p(token), nats, by the rows' and messages' weights as in training
//   perplexity  exp(lm_loss)
//   turn_loss, category_loss  the same by an answer's place in its conversation and by the rows' labels
//   routing     of a model with mixture layers: RoutingCollector
// Runs forwards alone, in the precision the weights are held in; leaves gradients as they are. Error when a row is longer than the
// model's positions, or `supervision` is of another model.
monitor::Evaluation evaluate(const generate::Runnable& runnable, const data::Dataset& dataset, const EvaluateOptions& options);

// The label that the router reads a question as, by RoutingCollector's accuracy. `options` as for evaluate(), with supervision.
std::int32_t read_back_label(const generate::Runnable& runnable, const data::Sample& sample, const EvaluateOptions& options);

}  // namespace sluice::eval
