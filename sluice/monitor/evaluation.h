// What an evaluation found: the object that `sluice eval --json` prints and that a run's summary.json carries.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/base/json.h"
#include "sluice/monitor/metrics.h"

namespace sluice::monitor {

// How the router treats labelled questions. What was not measured is absent.
struct RoutingFigures {
  std::optional<double> accuracy = {};                 // share of questions whose label is read back from the router
  std::optional<double> mutual_information_nats = {};  // of label and expert over token-slot assignments, mean over supervised layers
  std::optional<double> kl = {};                       // of the supervision target to the router's distribution
  ExpertShares expert_share = {};                      // [layer][expert]
  std::vector<std::vector<double>> label_expert = {};  // [label][expert]: shares of a label's token slots
};

struct Evaluation {
  std::optional<double> lm_loss, perplexity, exact_match;
  std::optional<double> rouge_l = {};  // of generated answers, mean F1 of the longest common subsequence of words (Lin, 2004)
  std::vector<double> turn_loss = {};  // mean loss of a conversation's first, second ... answer; empty where none has a second
  std::map<std::string, double> category_loss = {};  // mean loss of the rows of each label
  std::optional<RoutingFigures> routing = {};
};

OrderedJson to_json(const Evaluation& evaluation);
Evaluation evaluation_from_json(const Json& value, const std::string& where);

// RUN/evaluation_before.json: the model that a fine-tuning run began with, on its held-out rows. Nothing where a run has none.
inline constexpr const char* kEvaluationBefore = "evaluation_before.json";
void write_evaluation_before(const fs::path& run_folder, const Evaluation& evaluation);
std::optional<Evaluation> read_evaluation_before(const fs::path& run_folder);

}  // namespace sluice::monitor
