// Megatron-Core's names and fused layouts of a model's weights beside Hugging Face's, as slices: these elements of that HF tensor are
// those of this Megatron tensor. One list serves both directions. (Megatron-LM, megatron/core/models/gpt/gpt_layer_specs.py.)
//   linear_qkv     per group of key-value heads: its query heads, its key head, its value head
//   linear_fc1     rows of the gate, then rows of up
//   layer norms    inside the linear that follows them: linear_qkv.layer_norm_weight, mlp.linear_fc1.layer_norm_weight
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/checkpoint/box.h"
#include "sluice/checkpoint/megatron_sizes.h"

namespace sluice::checkpoint {

// How a checkpoint spells the same tensors.
struct MegatronNaming {
  // kNumbered: decoder.layers.3.NAME. kStacked: decoder.layers.NAME with a first dim over the layers, which must all be alike.
  enum class Layers { kNumbered, kStacked };
  // kNumberedWeights: experts.linear_fc1.weight7 (TEGroupedMLP). kLocalExperts: experts.local_experts.7.linear_fc1.weight
  // (SequentialMLP). kStacked: experts.experts.linear_fc1.weight with a dim over the experts (both, in torch_dist). kNumbered:
  // experts.experts.7.linear_fc1.weight (torch_dist with singleton shards).
  enum class Experts { kNumberedWeights, kLocalExperts, kStacked, kNumbered };
  enum class Gate { kFused, kApart };   // kApart: linear_fc1.weight_w is the gate, weight_v is up (singleton shards, so with kNumbered)
  enum class Norms { kFused, kApart };  // kApart: input_layernorm.weight and pre_mlp_layernorm.weight (layers without TransformerEngine)

  Layers layers = Layers::kNumbered;
  Experts experts = Experts::kNumberedWeights;
  Gate gate = Gate::kFused;
  Norms norms = Norms::kFused;
  // Rows of embedding and output layer, of which Megatron pads the last; 0: as many as the vocabulary.
  std::int64_t vocab_rows = 0;
};

// The naming of a checkpoint, from a few of its tensors: shape_of(name) is null where it has no such tensor. Error naming `where` and
// what was looked for when the embedding or the first experts are found under no name.
using ShapeOf = std::function<const std::vector<std::int64_t>*(std::string_view name)>;
MegatronNaming detect_megatron_naming(const MegatronSizes& sizes, const ShapeOf& shape_of, const std::string& where);

// One piece: both boxes hold as many elements, in the same row-major order.
struct MegatronSlice {
  std::string hf, megatron;
  Box hf_box, megatron_box;
};

struct MegatronMap {
  using Shapes = std::map<std::string, std::vector<std::int64_t>, std::less<>>;

  Shapes hf, megatron;                // all tensors of either side
  std::vector<MegatronSlice> slices;  // every HF element in one; every Megatron element too, but for the padding of the vocabulary

  // The slices of one tensor; none for a name that is not in the map.
  std::vector<const MegatronSlice*> of_hf(std::string_view name) const;
  std::vector<const MegatronSlice*> of_megatron(std::string_view name) const;

  using Index = std::map<std::string, std::vector<std::size_t>, std::less<>>;
  Index by_hf, by_megatron;  // name -> numbers of its slices
};

// Error that lists the decoder's weights among a checkpoint's `names` for which the map has no place: layers, experts or biases that its
// config.json does not mention. Optimizer states, counters, TransformerEngine's states and the multi-token prediction (mtp.*) are let be.
void check_nothing_left(const MegatronMap& map, const std::vector<std::string>& names, const std::string& where);

// Error when layers are to be stacked that are not alike, or vocab_rows is less than the vocabulary.
MegatronMap megatron_map(const MegatronSizes& sizes, const MegatronNaming& naming);

}  // namespace sluice::checkpoint
