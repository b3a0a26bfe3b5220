#include "sluice/checkpoint/megatron_sizes.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"

namespace sluice::checkpoint {
namespace {

const std::vector<std::string> kModelTypes = {"mixtral", "qwen2_moe", "qwen3_moe", "deepseek_v2", "deepseek_v3",
                                              "llama",   "mistral",   "qwen2",     "qwen3"};

// Keys of a config.json. Absent and null are one.
class Keys {
 public:
  Keys(const Json& config, const std::string& where) : config_(config), where_(where) {}

  [[noreturn]] void fail(const std::string& key, const std::string& allowed) const {
    throw Error(where_ + ": " + key + " is " + (has(key) ? dump_json(config_[key]) : std::string("missing")) + ", not " + allowed,
                "give the config.json that belongs to the weights");
  }
  bool has(const std::string& key) const { return config_.contains(key) && !config_[key].is_null(); }

  std::int64_t size(const std::string& key) const {
    // Every model there is stays far below; three products of two such sizes, added up, fit into 63 bits.
    constexpr std::int64_t kLimit = std::int64_t{1} << 28;
    const bool sound = has(key) && config_[key].is_number_integer() && config_[key] > 0 && config_[key] < kLimit;
    if (!sound) fail(key, "a positive number below 2^28");
    return config_[key].get<std::int64_t>();
  }
  std::int64_t size_or(const std::string& key, std::int64_t otherwise) const {
    return has(key) && config_[key] != 0 ? size(key) : otherwise;
  }
  bool is_true(const std::string& key) const {
    if (has(key) && !config_[key].is_boolean()) fail(key, "true or false");
    return has(key) && config_[key].get<bool>();
  }
  std::vector<std::int64_t> numbers(const std::string& key) const {
    std::vector<std::int64_t> numbers;
    if (!has(key)) return numbers;
    if (!config_[key].is_array()) fail(key, "a list of layers");
    for (const Json& item : config_[key]) {
      if (!item.is_number_integer()) fail(key, "a list of layers");
      numbers.push_back(item.get<std::int64_t>());
    }
    return numbers;
  }
  std::string text(const std::string& key) const {
    if (!has(key) || !config_[key].is_string()) fail(key, join_or(kModelTypes));
    return config_[key].get<std::string>();
  }

 private:
  const Json& config_;
  const std::string& where_;
};

void read_grouped_attention(const Keys& keys, const std::string& type, MegatronSizes& sizes) {
  sizes.kv_heads = keys.size_or("num_key_value_heads", sizes.heads);
  if (sizes.heads % sizes.kv_heads != 0)
    keys.fail("num_key_value_heads", "a divisor of num_attention_heads = " + std::to_string(sizes.heads));
  if (!keys.has("head_dim") && sizes.hidden % sizes.heads != 0)
    keys.fail("num_attention_heads", "a divisor of hidden_size = " + std::to_string(sizes.hidden));
  sizes.head_dim = keys.size_or("head_dim", std::max<std::int64_t>(sizes.hidden / sizes.heads, 1));
  const bool qwen2 = type == "qwen2" || type == "qwen2_moe";
  sizes.qkv_bias = qwen2 ? !keys.has("qkv_bias") || keys.is_true("qkv_bias") : keys.is_true("attention_bias");
  sizes.out_bias = !qwen2 && keys.is_true("attention_bias");
  sizes.qk_norm = type == "qwen3" || type == "qwen3_moe";
}

void read_latent_attention(const Keys& keys, MegatronSizes& sizes) {
  sizes.attention = MegatronSizes::Attention::kLatent;
  sizes.q_lora_rank = keys.size_or("q_lora_rank", 0);
  sizes.kv_lora_rank = keys.size("kv_lora_rank");
  sizes.qk_nope_head_dim = keys.size("qk_nope_head_dim");
  sizes.qk_rope_head_dim = keys.size("qk_rope_head_dim");
  sizes.v_head_dim = keys.size("v_head_dim");
  if (keys.is_true("attention_bias")) keys.fail("attention_bias", "false, as in every release: Megatron's latent attention has no biases");
}

void read_experts(const Keys& keys, const std::string& type, MegatronSizes& sizes) {
  const bool deepseek = type.starts_with("deepseek"), mixtral = type == "mixtral";
  const char* const count = deepseek ? "n_routed_experts" : mixtral || !keys.has("num_experts") ? "num_local_experts" : "num_experts";
  sizes.experts = keys.size(count);
  sizes.expert_ffn = mixtral ? sizes.ffn : keys.size("moe_intermediate_size");
  if (mixtral) sizes.expert_names = MegatronSizes::ExpertNames::kMixtral;
  sizes.router_bias = type == "deepseek_v3";
  if (type == "qwen2_moe") {
    sizes.shared_expert = MegatronSizes::SharedExpert::kGated;
    sizes.shared_ffn = keys.size("shared_expert_intermediate_size");
  } else if (deepseek && keys.size_or("n_shared_experts", 0) > 0) {
    sizes.shared_expert = MegatronSizes::SharedExpert::kUngated;
    sizes.shared_ffn = keys.size("n_shared_experts") * sizes.expert_ffn;
  }
  const std::int64_t dense_first = deepseek ? keys.size_or("first_k_dense_replace", 0) : 0;
  const std::int64_t step = deepseek ? keys.size_or("moe_layer_freq", 1) : mixtral ? 1 : keys.size_or("decoder_sparse_step", 1);
  const std::vector<std::int64_t> dense = keys.numbers("mlp_only_layers");
  for (std::int64_t layer = 0; layer < sizes.layers; ++layer) {
    const bool on_step = deepseek ? layer % step == 0 : (layer + 1) % step == 0;
    if (layer >= dense_first && on_step && std::ranges::find(dense, layer) == dense.end()) sizes.moe_layers.push_back(layer);
  }
}

}  // namespace

bool MegatronSizes::is_moe(std::int64_t layer) const { return std::ranges::find(moe_layers, layer) != moe_layers.end(); }

MegatronSizes megatron_sizes(const Json& config, const std::string& where) {
  const Keys keys(config, where);
  const std::string type = keys.text("model_type");
  if (std::ranges::find(kModelTypes, type) == kModelTypes.end()) keys.fail("model_type", join_or(kModelTypes));
  MegatronSizes sizes;
  sizes.layers = keys.size("num_hidden_layers");
  sizes.hidden = keys.size("hidden_size");
  sizes.vocab = keys.size("vocab_size");
  sizes.ffn = keys.size("intermediate_size");
  sizes.heads = keys.size("num_attention_heads");
  sizes.tied = keys.is_true("tie_word_embeddings");
  sizes.mlp_bias = type == "llama" && keys.is_true("mlp_bias");
  if (type.starts_with("deepseek")) {
    read_latent_attention(keys, sizes);
  } else {
    read_grouped_attention(keys, type, sizes);
  }
  if (type == "mixtral" || type.ends_with("_moe") || type.starts_with("deepseek")) read_experts(keys, type, sizes);
  return sizes;
}

}  // namespace sluice::checkpoint
