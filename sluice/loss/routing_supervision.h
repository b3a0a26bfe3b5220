// Supervised routing: the category of a question says which experts its tokens should prefer.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/data/categories.h"
#include "sluice/nn/router.h"

namespace sluice::loss {

// What the preferences of a label are (docs/decisions/supervised-routing.md).
//   balanced  fixed: the experts' mass is shared out among the labels in proportion to how many rows each label has, so that labels keep
//             apart and, whatever their shares, every expert gets the same preference over all rows. It cannot collapse: nothing in it is
//             learned.
//   learned   a label embedding with weight [experts, labels] (Xavier) and bias (0.1), trained with the model: the original's form, in
//             which all labels falling together is an optimum.
enum class Target { kBalanced, kLearned };
constexpr std::array<std::string_view, 2> names(Target) { return {"balanced", "learned"}; }

// Over layers: each = the mean of the layers' own losses; mean, sum, last = one loss on logits combined so (the original: mean).
enum class Aggregate { kEach, kMean, kSum, kLast };
constexpr std::array<std::string_view, 4> names(Aggregate) { return {"each", "mean", "sum", "last"}; }

enum class Tokens { kAll, kPrompt, kAnswer };
constexpr std::array<std::string_view, 3> names(Tokens) { return {"all", "prompt", "answer"}; }

struct RoutingSupervisionConfig {
  double weight = 0;
  Target target = Target::kBalanced;
  double temperature = 1;
  double smoothing = 0.1;
  std::vector<std::string> categories = data::Categories().names();
  std::vector<std::int64_t> layers;
  Aggregate aggregate = Aggregate::kEach;
  Tokens tokens = Tokens::kAll;

  void fields(auto&& field) {
    field("weight", weight, "Weight of the routing loss in the total; 0 = no supervision. Usual: 0.05 to 0.5.");
    field("target", target, "Preferences of a label: balanced (fixed, cannot collapse) or learned (the original's label embedding).");
    field("temperature", temperature, "Divides the preferences' logits: above 1 softer, below 1 sharper. Usual: 0.5 to 2.");
    field("smoothing", smoothing, "Share of the balanced preferences that is spread over all experts; above 0 and below 1.");
    field("categories", categories, "Names of the labels that rows have as expert_label, in the order of their numbers.");
    field("layers", layers, "Mixture layers to supervise, from 0; empty = all.");
    field("aggregate", aggregate, "each layer by itself, or one loss on the mean, the sum or the last of the layers' logits.");
    field("tokens", tokens, "Which tokens: all, those of the prompt, or those of the answer.");
  }
};

// Balanced preferences [labels, experts]: label c owns an interval of [0, 1) as long as its share; expert e owns [e, e + 1) / experts; the
// preference is their overlap over the share, so sum_c share_c * preference_c is uniform. Then smoothed and tempered.
at::Tensor balanced_preferences(const std::vector<double>& label_shares, std::int64_t num_experts, double smoothing, double temperature);

// Log preferences [labels, experts] of the learned target, with gradient: log_softmax((weight + bias) / temperature).
//   weight   [experts, labels]   bias [experts]
at::Tensor learned_log_preferences(const at::Tensor& weight, const at::Tensor& bias, double temperature);

// Which of a model's mixture layers some records are of: those from `first` on, of `total`; 0 = they are all.
struct MixtureSpan {
  std::int64_t first = 0, total = 0;
};

// The unweighted loss: mean over supervised tokens of KL(preference of the token's label || router), nats.
//   log_preferences  [labels, experts]
//   label            [tokens], int64: the row's label, -1 = not supervised (padding, no label, not among the chosen tokens)
//   tokens           supervised tokens that the mean divides by (of the global batch, so that the loss does not depend on its cut)
//   span             of `records`; for aggregate each and last alone they may be some of the layers, whose losses add up
//   returns          float32 scalar; undefined where none of the records is supervised
at::Tensor routing_supervision(const RoutingSupervisionConfig& config, const std::vector<nn::RouterRecord>& records,
                               const at::Tensor& log_preferences, const at::Tensor& label, double tokens, const MixtureSpan& span = {});

// The layers that `config` supervises, of `num_layers`.
std::vector<std::int64_t> supervised_layers(const RoutingSupervisionConfig& config, std::int64_t num_layers);

}  // namespace sluice::loss
