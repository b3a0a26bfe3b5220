#include <utility>

#include "sluice/base/error.h"
#include "sluice/checkpoint/megatron_names.h"

namespace sluice::checkpoint {
namespace {

using Naming = MegatronNaming;

const char* const kRemedy =
    "give a checkpoint of Megatron-Core's GPT model (torch_dist, or mp_rank_* files) and the config.json that belongs to it";

std::string layer_prefix(Naming::Layers layers, std::int64_t layer) {
  return layers == Naming::Layers::kStacked ? "decoder.layers." : "decoder.layers." + std::to_string(layer) + ".";
}

// Where the first linear_fc2 of the experts of a layer stands under each naming.
Naming::Experts detect_experts(const std::string& layer, const ShapeOf& shape_of, const std::string& where) {
  const std::pair<Naming::Experts, const char*> spellings[] = {
      {Naming::Experts::kNumberedWeights, "mlp.experts.linear_fc2.weight0"},
      {Naming::Experts::kLocalExperts, "mlp.experts.local_experts.0.linear_fc2.weight"},
      {Naming::Experts::kStacked, "mlp.experts.experts.linear_fc2.weight"},
      {Naming::Experts::kNumbered, "mlp.experts.experts.0.linear_fc2.weight"}};
  std::string tried;
  for (const auto& [experts, name] : spellings) {
    if (shape_of(layer + name)) return experts;
    tried += (tried.empty() ? "" : ", ") + layer + name;
  }
  throw Error(where + " has no experts under a name that is known: none of " + tried, kRemedy);
}

}  // namespace

MegatronNaming detect_megatron_naming(const MegatronSizes& sizes, const ShapeOf& shape_of, const std::string& where) {
  const std::string embedding = "embedding.word_embeddings.weight";
  const auto* const vocabulary = shape_of(embedding);
  if (!vocabulary || vocabulary->size() != 2) throw Error(where + " has no tensor " + embedding + " with two dims", kRemedy);
  Naming naming;
  naming.vocab_rows = (*vocabulary)[0];
  if (shape_of(layer_prefix(Naming::Layers::kStacked, 0) + "self_attention.linear_proj.weight")) naming.layers = Naming::Layers::kStacked;
  const std::string first = layer_prefix(naming.layers, 0);
  const bool latent = sizes.attention == MegatronSizes::Attention::kLatent;
  if (shape_of(first + (latent ? "self_attention.kv_layernorm.weight" : "input_layernorm.weight"))) naming.norms = Naming::Norms::kApart;
  std::string fc1 = first + "mlp.linear_fc1.weight";
  if (!sizes.moe_layers.empty()) {
    const std::string layer = layer_prefix(naming.layers, sizes.moe_layers.front());
    naming.experts = detect_experts(layer, shape_of, where);
    if (naming.experts == Naming::Experts::kNumbered) fc1 = layer + "mlp.experts.experts.0.linear_fc1.weight";
    if (naming.experts == Naming::Experts::kStacked) fc1 = layer + "mlp.experts.experts.linear_fc1.weight";
  }
  if (shape_of(fc1 + "_w")) naming.gate = Naming::Gate::kApart;
  return naming;
}

}  // namespace sluice::checkpoint
