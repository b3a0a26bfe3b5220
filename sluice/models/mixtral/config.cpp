#include "sluice/models/mixtral/config.h"

#include "sluice/config/fields.h"
#include "sluice/models/hf_config.h"

namespace sluice::models {
namespace {

std::string dtype_name(at::ScalarType dtype) { return dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float32"; }

OrderedJson or_null(const std::optional<std::int64_t>& value) { return value ? OrderedJson(*value) : OrderedJson(nullptr); }

}  // namespace

void MixtralConfig::read_hf(const Json& config, const std::string& where) {
  const HfConfig hf(config, where);
  vocab_size_ = hf.integer("vocab_size");
  hidden_size = hf.integer("hidden_size");
  intermediate_size = hf.integer("intermediate_size");
  num_hidden_layers = hf.integer("num_hidden_layers");
  num_attention_heads = hf.integer("num_attention_heads");
  num_key_value_heads = hf.integer("num_key_value_heads", num_attention_heads);
  head_dim = hf.optional_integer("head_dim");
  num_local_experts = hf.integer("num_local_experts");
  num_experts_per_tok = hf.integer("num_experts_per_tok");
  max_position_embeddings = hf.integer("max_position_embeddings", max_position_embeddings);
  rope_theta = hf.rope_theta(1e6);
  hf.require_default_rope();
  rms_norm_eps = hf.number("rms_norm_eps", 1e-5);
  initializer_range = hf.number("initializer_range", 0.02);
  router_aux_loss_coef = hf.number("router_aux_loss_coef", 0.001);
  router_jitter_noise = hf.number("router_jitter_noise", 0);
  tie_word_embeddings = hf.boolean("tie_word_embeddings", false);
  bos_token_id = hf.optional_integer("bos_token_id");
  eos_token_id = hf.optional_integer("eos_token_id");
  pad_token_id = hf.optional_integer("pad_token_id");
  if (const std::string act = hf.text("hidden_act", "silu"); act != "silu") {
    throw Error(where + ": hidden_act '" + act + "' is not Mixtral's", "use hidden_act silu");
  }
  if (const auto window = hf.optional_integer("sliding_window"); window && *window > 0 && *window < max_position_embeddings) {
    throw Error(where + ": sliding_window = " + std::to_string(*window) + " is not supported for Mixtral", "set sliding_window to null, as the released Mixtral models do");
  }
}

OrderedJson MixtralConfig::write_hf(at::ScalarType dtype) const {
  OrderedJson config{{"architectures", {"MixtralForCausalLM"}},
                     {"attention_dropout", 0.0},
                     {"bos_token_id", or_null(bos_token_id)},
                     {"eos_token_id", or_null(eos_token_id)},
                     {"pad_token_id", or_null(pad_token_id)},
                     {"head_dim", or_null(head_dim)},
                     {"hidden_act", "silu"},
                     {"hidden_size", hidden_size},
                     {"initializer_range", initializer_range},
                     {"intermediate_size", intermediate_size},
                     {"max_position_embeddings", max_position_embeddings},
                     {"model_type", "mixtral"},
                     {"num_attention_heads", num_attention_heads},
                     {"num_experts_per_tok", num_experts_per_tok},
                     {"num_hidden_layers", num_hidden_layers},
                     {"num_key_value_heads", num_key_value_heads},
                     {"num_local_experts", num_local_experts},
                     {"output_router_logits", false},
                     {"rms_norm_eps", rms_norm_eps},
                     {"router_aux_loss_coef", router_aux_loss_coef},
                     {"router_jitter_noise", router_jitter_noise},
                     {"sliding_window", nullptr},
                     {"tie_word_embeddings", tie_word_embeddings},
                     {"use_cache", true},
                     {"vocab_size", vocab_size_}};
  write_both_styles(config, rope_theta, dtype_name(dtype));
  return config;
}

void MixtralConfig::apply(const std::vector<config::Setting>& settings, Violations& violations) { config::apply(*this, settings, violations, "model"); }

std::string MixtralConfig::to_yaml() const { return config::to_yaml(*this); }

void MixtralConfig::set_missing_token_ids(std::optional<std::int64_t> bos, std::optional<std::int64_t> eos, std::optional<std::int64_t> pad) {
  if (!bos_token_id) bos_token_id = bos;
  if (!eos_token_id) eos_token_id = eos;
  if (!pad_token_id) pad_token_id = pad;
}

void MixtralConfig::check(Violations& violations) const {
  constexpr std::int64_t kLargest = 1 << 22;  // above any real model, and small enough that no product below overflows
  const auto positive = [&](const char* name, std::int64_t value) {
    const bool fits = value >= 1 && value <= kLargest;
    if (!fits) violations.add("model." + std::string(name) + " = " + std::to_string(value) + " is not a size", "give a whole number from 1 to " + std::to_string(kLargest));
    return fits;
  };
  bool sizes = true;
  for (const auto& [name, value] : {std::pair{"vocab_size", vocab_size_}, {"hidden_size", hidden_size}, {"intermediate_size", intermediate_size},
                                    {"num_hidden_layers", num_hidden_layers}, {"num_attention_heads", num_attention_heads},
                                    {"num_key_value_heads", num_key_value_heads}, {"num_local_experts", num_local_experts},
                                    {"num_experts_per_tok", num_experts_per_tok}, {"max_position_embeddings", max_position_embeddings}}) {
    sizes = positive(name, value) && sizes;
  }
  if (!sizes) return;
  const double parameters = static_cast<double>(num_hidden_layers) * static_cast<double>(num_local_experts) * 3.0 * static_cast<double>(hidden_size) * static_cast<double>(intermediate_size);
  if (parameters > 1e14) {
    violations.add("model.* sizes ask for " + config::format(parameters) + " parameters in the experts alone", "use smaller sizes");
    return;
  }
  if (!head_dim && hidden_size % num_attention_heads != 0) {
    violations.add("model.hidden_size = " + std::to_string(hidden_size) + " is not a multiple of num_attention_heads = " + std::to_string(num_attention_heads),
                   "change one of them, or give model.head_dim");
  }
  if (head_size() % 2 != 0) violations.add("model.head_dim = " + std::to_string(head_size()) + " is odd, and rotary embeddings need pairs", "use an even head_dim");
  if (num_attention_heads % num_key_value_heads != 0) {
    violations.add("model.num_key_value_heads = " + std::to_string(num_key_value_heads) + " does not divide num_attention_heads = " + std::to_string(num_attention_heads),
                   "use a divisor");
  }
  if (num_experts_per_tok > num_local_experts) {
    violations.add("model.num_experts_per_tok = " + std::to_string(num_experts_per_tok) + " is more than num_local_experts = " + std::to_string(num_local_experts),
                   "use at most " + std::to_string(num_local_experts));
  }
  if (router_jitter_noise != 0) violations.add("model.router_jitter_noise = " + config::format(router_jitter_noise) + " is not supported", "set it to 0");
}

Cost MixtralConfig::cost(std::int64_t seq) const {
  const std::int64_t d = head_size();
  const std::int64_t attention = hidden_size * d * (2 * num_attention_heads + 2 * num_key_value_heads);
  const std::int64_t expert = 3 * hidden_size * intermediate_size, router = num_local_experts * hidden_size;
  const std::int64_t embedding = vocab_size_ * hidden_size;
  Cost cost;
  const auto total = [&](std::int64_t experts) { return num_hidden_layers * (attention + router + experts * expert + 2 * hidden_size) + hidden_size; };
  cost.parameters = total(num_local_experts) + embedding * (tie_word_embeddings ? 1 : 2);
  cost.active_parameters = total(num_experts_per_tok) + embedding * (tie_word_embeddings ? 1 : 2);
  const auto products = static_cast<double>(num_hidden_layers * (attention + router + num_experts_per_tok * expert) + embedding);
  // Two per multiply-add; causal attention: two products of seq/2 keys on average.
  cost.forward_flops_per_token = 2 * products + 2.0 * static_cast<double>(num_hidden_layers * num_attention_heads * d) * static_cast<double>(seq);
  cost.kv_bytes_per_token = 2 * 2 * num_hidden_layers * num_key_value_heads * d;
  return cost;
}

}  // namespace sluice::models
