// How the router treats labelled questions, counted over batches.
#pragma once
#include <cstdint>
#include <vector>

#include "sluice/data/batch.h"
#include "sluice/eval/routing_file.h"
#include "sluice/models/model.h"
#include "sluice/monitor/evaluation.h"
#include "sluice/nn/router.h"

namespace sluice::eval {

// The question of a row is its prompt; a row without one (format text) is a question as a whole. Padding counts nowhere.
//   accuracy            share of labelled questions whose label is read back: the label with the smallest KL(preference || d), where d is
//                       the mean of softmax(router logits) over the question's tokens and the supervised layers
//   mutual information  of label and expert over the token slots (a token's k served assignments) of labelled questions from the
//                       question's 4th token on: each supervised layer by itself, then the mean over these
//   kl                  mean over supervised tokens (of labelled rows) and layers of KL(preference || softmax(router logits))
//   expert_share        of every layer: each expert's share of the served assignments of all rows' real tokens
//   label_expert        the same by label, over the supervised layers together; a label that does not occur has zeros
// What has nothing to be counted from is absent. Without supervision all layers stand for the supervised ones, and accuracy and kl, which
// need preferences, are absent.
class RoutingCollector {
 public:
  // Labels are below `num_labels`. `supervision` may be null; it outlives the collector and fits the model and the labels.
  RoutingCollector(const models::MoeShape& moe, std::int64_t num_labels, const RoutingFile* supervision);

  // records: one a mixture layer, over the batch's [rows * seq] tokens. Returns the label read back for each row, its own known or not;
  // kNoExpertLabel without supervision.
  std::vector<std::int32_t> add(const std::vector<nn::RouterRecord>& records, const data::Batch& batch);

  monitor::RoutingFigures figures() const;

 private:
  using Table = std::vector<std::vector<double>>;
  struct Row {  // of the batch at hand
    std::int32_t label = 0;
    std::vector<double> router;  // [experts], summed over question tokens and layers
    double count = 0;            // summands of `router`
  };
  void add_layer(std::size_t layer, const nn::RouterRecord& record, const data::Batch& batch, std::vector<Row>& rows);
  void count_served(std::size_t layer, const std::int64_t* served, std::int64_t top_k, std::int32_t label, std::int64_t question_index);
  bool supervised(std::size_t layer) const;
  bool covered(std::int64_t position, std::int32_t prompt_length) const;

  models::MoeShape moe_;
  const RoutingFile* supervision_;
  std::vector<std::int64_t> layers_;   // supervised
  Table served_;                       // [layer][expert]
  Table label_served_;                 // [label][expert], supervised layers together
  std::vector<Table> question_slots_;  // [layer][label][expert]: from the 4th question token on
  double kl_sum_ = 0, kl_count_ = 0, questions_ = 0, read_back_ = 0;
};

// Mutual information of the two indices of a table of counts, in nats; 0 for an empty table.
double mutual_information_nats(const std::vector<std::vector<double>>& counts);

}  // namespace sluice::eval
