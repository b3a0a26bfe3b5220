#include "sluice/checkpoint/megatron_names.h"

#include <utility>

#include "sluice/base/error.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

using Shape = std::vector<std::int64_t>;
using Sizes = MegatronSizes;
using Naming = MegatronNaming;

// A Megatron tensor, or the part of a stack of them that belongs to one layer or expert.
struct Place {
  std::string name;
  Shape index, extent;  // of the dims before the tensor's own: which one, of how many
};

Shape joined(Shape front, const Shape& back) {
  front.insert(front.end(), back.begin(), back.end());
  return front;
}

// Goes through a model as its forward pass does, and notes each weight.
class Mapper {
 public:
  Mapper(const Sizes& sizes, const Naming& naming) : s_(sizes), naming_(naming) {}
  MegatronMap map();

 private:
  // Rows [hf_row, hf_row + rows) of an HF tensor are rows [row, row + rows) of a Megatron one; shapes are of one layer and expert.
  void rows(const std::string& hf, const Shape& hf_shape, std::int64_t hf_row, const Place& place, const Shape& shape, std::int64_t row,
            std::int64_t count);
  void same(const std::string& hf, const Place& place, const Shape& shape) { rows(hf, shape, 0, place, shape, 0, shape[0]); }

  Place in_layer(std::int64_t layer, const std::string& name) const;
  Place in_expert(std::int64_t layer, std::int64_t expert, const std::string& linear, const std::string& suffix) const;

  void vocabulary();
  void grouped_attention(std::int64_t layer);
  void fused_qkv(std::int64_t layer, const std::string& kind, std::int64_t columns);
  void latent_attention(std::int64_t layer);
  void dense_mlp(std::int64_t layer);
  void experts(std::int64_t layer);
  void shared_expert(std::int64_t layer);
  // gate and up [width, ...] into fc1; `at(suffix)` gives the place of linear_fc1.weight with that suffix.
  template <class At>
  void gate_and_up(const std::string& gate, const std::string& up, std::int64_t width, const Shape& row, const At& at);

  const Sizes& s_;
  const Naming& naming_;
  MegatronMap map_;
};

std::string hf_layer(std::int64_t layer) { return "model.layers." + std::to_string(layer) + "."; }

void Mapper::rows(const std::string& hf, const Shape& hf_shape, std::int64_t hf_row, const Place& place, const Shape& shape,
                  std::int64_t row, std::int64_t count) {
  map_.hf[hf] = hf_shape;
  map_.megatron[place.name] = joined(place.extent, shape);
  Box from = whole(hf_shape), to = whole(shape);
  from.offsets[0] = hf_row;
  to.offsets[0] = row;
  from.lengths[0] = to.lengths[0] = count;
  to.offsets = joined(place.index, to.offsets);
  to.lengths = joined(Shape(place.index.size(), 1), to.lengths);
  map_.by_hf[hf].push_back(map_.slices.size());
  map_.by_megatron[place.name].push_back(map_.slices.size());
  map_.slices.push_back({hf, place.name, std::move(from), std::move(to)});
}

Place Mapper::in_layer(std::int64_t layer, const std::string& name) const {
  if (naming_.layers == Naming::Layers::kStacked) return {"decoder.layers." + name, {layer}, {s_.layers}};
  return {"decoder.layers." + std::to_string(layer) + "." + name, {}, {}};
}

Place Mapper::in_expert(std::int64_t layer, std::int64_t expert, const std::string& linear, const std::string& suffix) const {
  const std::string number = std::to_string(expert);
  switch (naming_.experts) {
    case Naming::Experts::kNumberedWeights:
      return in_layer(layer, "mlp.experts." + linear + ".weight" + number + suffix);
    case Naming::Experts::kLocalExperts:
      return in_layer(layer, "mlp.experts.local_experts." + number + "." + linear + ".weight" + suffix);
    case Naming::Experts::kNumbered:
      return in_layer(layer, "mlp.experts.experts." + number + "." + linear + ".weight" + suffix);
    case Naming::Experts::kStacked:
      break;
  }
  Place place = in_layer(layer, "mlp.experts.experts." + linear + ".weight" + suffix);
  place.index.push_back(expert);
  place.extent.push_back(s_.experts);
  return place;
}

void Mapper::vocabulary() {
  const std::int64_t padded = naming_.vocab_rows == 0 ? s_.vocab : naming_.vocab_rows;
  if (padded < s_.vocab) {
    throw Error("the checkpoint's embedding has " + std::to_string(padded) + " rows, fewer than vocab_size = " + std::to_string(s_.vocab),
                "give the config.json that belongs to the weights");
  }
  const Shape shape = {s_.vocab, s_.hidden}, padded_shape = {padded, s_.hidden};
  rows("model.embed_tokens.weight", shape, 0, {"embedding.word_embeddings.weight", {}, {}}, padded_shape, 0, s_.vocab);
  if (!s_.tied) rows("lm_head.weight", shape, 0, {"output_layer.weight", {}, {}}, padded_shape, 0, s_.vocab);
  same("model.norm.weight", {"decoder.final_layernorm.weight", {}, {}}, {s_.hidden});
}

// `kind` is weight or bias; `columns` 0 for a bias.
void Mapper::fused_qkv(std::int64_t layer, const std::string& kind, std::int64_t columns) {
  const std::string hf = hf_layer(layer) + "self_attn.";
  const Place place = in_layer(layer, "self_attention.linear_qkv." + kind);
  const auto shape = [&](std::int64_t num_rows) { return columns == 0 ? Shape{num_rows} : Shape{num_rows, columns}; };
  const std::int64_t d = s_.head_dim, q = s_.heads / s_.kv_heads * d, group = q + 2 * d;
  const Shape fused = shape(group * s_.kv_heads), q_shape = shape(s_.heads * d), kv_shape = shape(s_.kv_heads * d);
  for (std::int64_t g = 0; g < s_.kv_heads; ++g) {
    rows(hf + "q_proj." + kind, q_shape, g * q, place, fused, g * group, q);
    rows(hf + "k_proj." + kind, kv_shape, g * d, place, fused, g * group + q, d);
    rows(hf + "v_proj." + kind, kv_shape, g * d, place, fused, g * group + q + d, d);
  }
}

void Mapper::grouped_attention(std::int64_t layer) {
  const std::string hf = hf_layer(layer);
  const bool apart = naming_.norms == Naming::Norms::kApart;
  same(hf + "input_layernorm.weight", in_layer(layer, apart ? "input_layernorm.weight" : "self_attention.linear_qkv.layer_norm_weight"),
       {s_.hidden});
  fused_qkv(layer, "weight", s_.hidden);
  if (s_.qkv_bias) fused_qkv(layer, "bias", 0);
  if (s_.qk_norm) {
    same(hf + "self_attn.q_norm.weight", in_layer(layer, "self_attention.q_layernorm.weight"), {s_.head_dim});
    same(hf + "self_attn.k_norm.weight", in_layer(layer, "self_attention.k_layernorm.weight"), {s_.head_dim});
  }
  same(hf + "self_attn.o_proj.weight", in_layer(layer, "self_attention.linear_proj.weight"), {s_.hidden, s_.heads * s_.head_dim});
  if (s_.out_bias) same(hf + "self_attn.o_proj.bias", in_layer(layer, "self_attention.linear_proj.bias"), {s_.hidden});
}

// Multi-head latent attention (arXiv:2405.04434, 2.1). Both sides keep the rotary dims in interleaved pairs.
void Mapper::latent_attention(std::int64_t layer) {
  const std::string hf = hf_layer(layer) + "self_attn.";
  const auto at = [&](const std::string& name) { return in_layer(layer, "self_attention." + name); };
  const std::int64_t qk = s_.heads * (s_.qk_nope_head_dim + s_.qk_rope_head_dim);
  const bool apart = naming_.norms == Naming::Norms::kApart;
  same(hf_layer(layer) + "input_layernorm.weight", in_layer(layer, "input_layernorm.weight"), {s_.hidden});
  if (s_.q_lora_rank == 0) {
    same(hf + "q_proj.weight", at("linear_q_proj.weight"), {qk, s_.hidden});
  } else {
    same(hf + "q_a_proj.weight", at("linear_q_down_proj.weight"), {s_.q_lora_rank, s_.hidden});
    same(hf + "q_a_layernorm.weight", at(apart ? "q_layernorm.weight" : "linear_q_up_proj.layer_norm_weight"), {s_.q_lora_rank});
    same(hf + "q_b_proj.weight", at("linear_q_up_proj.weight"), {qk, s_.q_lora_rank});
  }
  same(hf + "kv_a_proj_with_mqa.weight", at("linear_kv_down_proj.weight"), {s_.kv_lora_rank + s_.qk_rope_head_dim, s_.hidden});
  same(hf + "kv_a_layernorm.weight", at(apart ? "kv_layernorm.weight" : "linear_kv_up_proj.layer_norm_weight"), {s_.kv_lora_rank});
  same(hf + "kv_b_proj.weight", at("linear_kv_up_proj.weight"), {s_.heads * (s_.qk_nope_head_dim + s_.v_head_dim), s_.kv_lora_rank});
  same(hf + "o_proj.weight", at("linear_proj.weight"), {s_.hidden, s_.heads * s_.v_head_dim});
}

template <class At>
void Mapper::gate_and_up(const std::string& gate, const std::string& up, std::int64_t width, const Shape& row, const At& at) {
  const Shape one = joined({width}, row), both = joined({2 * width}, row);
  if (naming_.gate == Naming::Gate::kApart) {
    same(gate, at("_w"), one);
    same(up, at("_v"), one);
  } else {
    rows(gate, one, 0, at(""), both, 0, width);
    rows(up, one, 0, at(""), both, width, width);
  }
}

void Mapper::dense_mlp(std::int64_t layer) {
  const std::string hf = hf_layer(layer);
  const auto fc1 = [&](const std::string& kind) {
    return [&, kind](const std::string& suffix) { return in_layer(layer, "mlp.linear_fc1." + kind + suffix); };
  };
  const bool apart = naming_.norms == Naming::Norms::kApart;
  same(hf + "post_attention_layernorm.weight", in_layer(layer, apart ? "pre_mlp_layernorm.weight" : "mlp.linear_fc1.layer_norm_weight"),
       {s_.hidden});
  gate_and_up(hf + "mlp.gate_proj.weight", hf + "mlp.up_proj.weight", s_.ffn, {s_.hidden}, fc1("weight"));
  same(hf + "mlp.down_proj.weight", in_layer(layer, "mlp.linear_fc2.weight"), {s_.hidden, s_.ffn});
  if (!s_.mlp_bias) return;
  gate_and_up(hf + "mlp.gate_proj.bias", hf + "mlp.up_proj.bias", s_.ffn, {}, fc1("bias"));
  same(hf + "mlp.down_proj.bias", in_layer(layer, "mlp.linear_fc2.bias"), {s_.hidden});
}

void Mapper::experts(std::int64_t layer) {
  const bool mixtral = s_.expert_names == Sizes::ExpertNames::kMixtral;
  const std::string hf = hf_layer(layer) + (mixtral ? "block_sparse_moe." : "mlp.");
  same(hf_layer(layer) + "post_attention_layernorm.weight", in_layer(layer, "pre_mlp_layernorm.weight"), {s_.hidden});
  same(hf + "gate.weight", in_layer(layer, "mlp.router.weight"), {s_.experts, s_.hidden});
  if (s_.router_bias) same(hf + "gate.e_score_correction_bias", in_layer(layer, "mlp.router.expert_bias"), {s_.experts});
  for (std::int64_t e = 0; e < s_.experts; ++e) {
    const std::string expert = hf + "experts." + std::to_string(e) + ".";
    const auto fc1 = [&](const std::string& suffix) { return in_expert(layer, e, "linear_fc1", suffix); };
    gate_and_up(expert + (mixtral ? "w1" : "gate_proj") + ".weight", expert + (mixtral ? "w3" : "up_proj") + ".weight", s_.expert_ffn,
                {s_.hidden}, fc1);
    same(expert + (mixtral ? "w2" : "down_proj") + ".weight", in_expert(layer, e, "linear_fc2", ""), {s_.hidden, s_.expert_ffn});
  }
  if (s_.shared_expert != Sizes::SharedExpert::kNone) shared_expert(layer);
}

void Mapper::shared_expert(std::int64_t layer) {
  const bool gated = s_.shared_expert == Sizes::SharedExpert::kGated;
  const std::string mlp = hf_layer(layer) + "mlp.", hf = mlp + (gated ? "shared_expert." : "shared_experts.");
  const auto fc1 = [&](const std::string& suffix) { return in_layer(layer, "mlp.shared_experts.linear_fc1.weight" + suffix); };
  gate_and_up(hf + "gate_proj.weight", hf + "up_proj.weight", s_.shared_ffn, {s_.hidden}, fc1);
  same(hf + "down_proj.weight", in_layer(layer, "mlp.shared_experts.linear_fc2.weight"), {s_.hidden, s_.shared_ffn});
  if (gated) same(mlp + "shared_expert_gate.weight", in_layer(layer, "mlp.shared_experts.gate_weight"), {1, s_.hidden});
}

MegatronMap Mapper::map() {
  if (naming_.layers == Naming::Layers::kStacked && !s_.all_layers_alike()) {
    throw Error("a checkpoint with its layers stacked cannot hold this model, " + std::to_string(s_.moe_layers.size()) + " of whose " +
                    std::to_string(s_.layers) + " layers are mixtures of experts",
                "give the config.json that belongs to the weights, or number the layers");
  }
  vocabulary();
  for (std::int64_t layer = 0; layer < s_.layers; ++layer) {
    s_.attention == Sizes::Attention::kLatent ? latent_attention(layer) : grouped_attention(layer);
    s_.is_moe(layer) ? experts(layer) : dense_mlp(layer);
  }
  return std::move(map_);
}

}  // namespace

MegatronMap megatron_map(const MegatronSizes& sizes, const MegatronNaming& naming) { return Mapper(sizes, naming).map(); }

namespace {

std::vector<const MegatronSlice*> slices_of(const MegatronMap& map, const MegatronMap::Index& index, std::string_view name) {
  std::vector<const MegatronSlice*> found;
  if (const auto entry = index.find(name); entry != index.end()) {
    for (const std::size_t i : entry->second) found.push_back(&map.slices[i]);
  }
  return found;
}

bool is_weight(std::string_view name) {
  const auto holds = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  const bool of_the_model = name.starts_with("decoder.") || name.starts_with("embedding.");
  return of_the_model && !holds("_extra_state") && !holds("inv_freq") && !holds("tokens_per_expert") && !holds("ga_steps");
}

}  // namespace

void check_nothing_left(const MegatronMap& map, const std::vector<std::string>& names, const std::string& where) {
  constexpr std::size_t kMaxShown = 3;
  std::size_t count = 0;
  std::string shown;
  for (const std::string& name : names) {
    if (!is_weight(name) || map.megatron.contains(name)) continue;
    if (++count <= kMaxShown) shown += (count > 1 ? ", " : "") + in_quotes(name);
  }
  if (count == 0) return;
  throw Error(
      where + " holds " + std::to_string(count) + " weights that this model does not have: " + shown + (count > kMaxShown ? ", ..." : ""),
      "give the config.json that belongs to the weights");
}

std::vector<const MegatronSlice*> MegatronMap::of_hf(std::string_view name) const { return slices_of(*this, by_hf, name); }
std::vector<const MegatronSlice*> MegatronMap::of_megatron(std::string_view name) const { return slices_of(*this, by_megatron, name); }

}  // namespace sluice::checkpoint
