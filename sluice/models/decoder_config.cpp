#include "sluice/models/decoder_config.h"

#include <algorithm>
#include <cmath>

namespace sluice::models {

bool check_sizes(const std::vector<NamedSize>& sizes, Violations& violations) {
  constexpr std::int64_t kLargest = 1 << 24;  // above any real model, and small enough that no product of three overflows
  bool good = true;
  for (const auto& [name, value] : sizes) {
    if (value >= 1 && value <= kLargest) continue;
    violations.add("model." + std::string(name) + " = " + std::to_string(value) + " is not a size", "give a whole number from 1 to " + std::to_string(kLargest));
    good = false;
  }
  return good;
}

bool check_layers(std::int64_t layers, Violations& violations) {
  constexpr std::int64_t kMost = 4096;  // each layer has its rows in the tensor table
  if (layers <= kMost) return true;
  violations.add("model.num_hidden_layers = " + std::to_string(layers) + " is more than " + std::to_string(kMost), "use fewer layers");
  return false;
}

void check_heads(std::int64_t hidden_size, std::int64_t heads, std::int64_t kv_heads, std::optional<std::int64_t> head_dim, Violations& violations) {
  if (!head_dim && hidden_size % heads != 0) {
    violations.add("model.hidden_size = " + std::to_string(hidden_size) + " is not a multiple of num_attention_heads = " + std::to_string(heads),
                   "change one of them, or give model.head_dim");
  }
  const std::int64_t width = head_dim.value_or(hidden_size / heads);
  if (width < 1 || width % 2 != 0) {
    violations.add("model.head_dim = " + std::to_string(width) + " is not an even size, and rotary embeddings need pairs", "use an even head_dim");
  }
  check_parameter_count(4.0 * static_cast<double>(hidden_size) * static_cast<double>(heads) * static_cast<double>(width), violations);  // a layer's attention
  if (heads % kv_heads != 0) {
    violations.add("model.num_key_value_heads = " + std::to_string(kv_heads) + " does not divide num_attention_heads = " + std::to_string(heads), "use a divisor");
  }
}

void check_experts(const char* experts_name, std::int64_t experts, std::int64_t top_k, Violations& violations) {
  constexpr std::int64_t kMost = 8192;
  if (experts > kMost) violations.add("model." + std::string(experts_name) + " = " + std::to_string(experts) + " is more than " + std::to_string(kMost), "use fewer experts");
  if (top_k <= experts) return;
  violations.add("model.num_experts_per_tok = " + std::to_string(top_k) + " is more than " + experts_name + " = " + std::to_string(experts),
                 "use at most " + std::to_string(experts));
}

std::int64_t longest_text(std::int64_t max_position_embeddings, const nn::RopeScaling& scaling) {
  if (scaling.rope_type != nn::RopeType::kDynamic) return max_position_embeddings;
  return static_cast<std::int64_t>(static_cast<double>(max_position_embeddings) * std::max(scaling.factor.value_or(1), 1.0));
}

void check_rope(double theta, const nn::RopeScaling& scaling, std::int64_t rotary, Violations& violations) {
  if (!(theta > 1)) violations.add("model.rope_theta = " + config::format(theta) + " is not above 1", "use the base that the model was trained with, usually 10000 or more");
  using enum nn::RopeType;
  const bool fixed = scaling.rope_type == kLinear || scaling.rope_type == kLlama3 || scaling.rope_type == kDynamic;
  if (fixed && !scaling.factor) {
    violations.add("model.rope_scaling.factor is not set, and rope_type " + config::format(scaling.rope_type) + " needs it", "set it to 1 or more");
  }
  if (scaling.factor && !(*scaling.factor >= 1 && *scaling.factor <= 1e6)) {
    violations.add("model.rope_scaling.factor = " + config::format(*scaling.factor) + " is not from 1 to 1000000", "use 1 or more");
  }
  const std::int64_t original = scaling.original_max_position_embeddings.value_or(1);
  if (original < 1) violations.add("model.rope_scaling.original_max_position_embeddings = " + std::to_string(original) + " is not a length", "use at least 1");
  if (scaling.rope_type == nn::RopeType::kLlama3 && !(scaling.high_freq_factor > scaling.low_freq_factor && scaling.low_freq_factor > 0)) {
    violations.add("model.rope_scaling.high_freq_factor = " + config::format(scaling.high_freq_factor) + " is not above low_freq_factor = " +
                       config::format(scaling.low_freq_factor), "use 4 and 1, as Llama 3.1");
  }
  if (scaling.rope_type != nn::RopeType::kLongrope) return;
  const auto check_factors = [&](const char* name, const std::vector<double>& factors) {
    if (static_cast<std::int64_t>(factors.size()) == (rotary + 1) / 2 && std::ranges::all_of(factors, [](double f) { return f > 0; })) return;
    violations.add("model.rope_scaling." + std::string(name) + " has " + std::to_string(factors.size()) + " elements, and longrope needs one above 0 for each of " +
                       std::to_string((rotary + 1) / 2) + " pairs of dimensions", "take them from where the model came from");
  };
  check_factors("short_factor", scaling.short_factor);
  check_factors("long_factor", scaling.long_factor);
  if (scaling.original_max_position_embeddings == 1) {
    violations.add("model.rope_scaling.original_max_position_embeddings = 1 is too short for longrope", "use the length of the model's first training");
  }
}

void check_epsilon(const char* name, double eps, Violations& violations) {
  if (!(eps >= 0 && eps < 1)) violations.add("model." + std::string(name) + " = " + config::format(eps) + " is not from 0 to below 1", "use 1e-5 or 1e-6");
}

void check_initializer_range(double initializer_range, Violations& violations) {
  constexpr double kWidest = 1e3;  // far above any use, and far below what float32 can hold
  if (initializer_range >= 0 && initializer_range <= kWidest) return;
  violations.add("model.initializer_range = " + config::format(initializer_range) + " is not from 0 to " + config::format(kWidest), "use the standard deviation of the first weights, such as 0.02");
}

void check_token_id(const std::string& key, std::int64_t id, std::int64_t vocab_size, Violations& violations) {
  if (id >= 0 && id < vocab_size) return;
  violations.add(key + " = " + std::to_string(id) + " is not a token of the model, whose vocabulary has " + std::to_string(vocab_size),
                 "use 0 to " + std::to_string(vocab_size - 1) + ", or leave it out: the tokenizer's is taken then");
}

void check_parameter_count(double parameters, Violations& violations) {
  if (parameters > 1e14) violations.add("model.* sizes ask for " + config::format(parameters) + " parameters", "use smaller sizes");
}

}  // namespace sluice::models
