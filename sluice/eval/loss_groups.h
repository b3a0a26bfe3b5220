// The loss of an evaluation, told apart by what its tokens belong to.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "sluice/data/batch.h"
#include "sluice/data/categories.h"
#include "sluice/loss/objective.h"
#include "sluice/monitor/evaluation.h"

namespace sluice::eval {

// Sums the loss of each answer's place in its conversation, and of each label's rows.
class LossGroups {
 public:
  // `hidden` [tokens, hidden] is what the model made of `batch`, after its final norm; `tensors` the batch as it took it; `sum` its loss,
  // summed over the batch's tokens, each times its weight.
  void add(const at::Tensor& hidden, const nn::Head& head, const data::Batch& batch, const loss::BatchTensors& tensors, double sum);

  // Fills turn_loss where any conversation has a second answer, and category_loss where any row has a label.
  void fill(monitor::Evaluation& evaluation, const data::Categories& categories) const;

 private:
  struct Sum {
    double loss = 0, weight = 0;
  };
  using Sums = std::map<std::int64_t, Sum>;
  Sums turns_, categories_;
};

}  // namespace sluice::eval
