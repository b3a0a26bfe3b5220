// What the configs of decoder models share: settings, HF's config.json and rules, all from one fields() declaration.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/config/fields.h"
#include "sluice/models/cost.h"
#include "sluice/models/hf_config.h"
#include "sluice/models/model.h"

namespace sluice::models {

// Adds the token id of setting `key` where the vocabulary has none of that number.
void check_token_id(const std::string& key, std::int64_t id, std::int64_t vocab_size, Violations& violations);

// The parts of ModelConfig that follow from Derived::fields() alone.
template <class Derived>
class FieldsConfig : public ModelConfig {
 public:
  std::optional<std::int64_t> bos_token_id, pad_token_id;
  std::vector<std::int64_t> eos_token_id;

  void apply(const std::vector<config::Setting>& settings, Violations& violations) override {
    config::apply(self(), settings, violations, "model");
    check_token_ids(settings, violations);
  }
  std::vector<std::pair<std::string, std::string>> settings() const override {
    std::vector<std::pair<std::string, std::string>> out;
    Derived copy = self();
    config::for_each_leaf(copy, [&](const std::string& key, auto& field, const char*) { out.emplace_back(key, config::format(field)); }, "model");
    return out;
  }
  std::string to_yaml() const override { return config::to_yaml(self()); }
  void set_missing_token_ids(std::optional<std::int64_t> bos, std::optional<std::int64_t> eos, std::optional<std::int64_t> pad) override {
    // A tokenizer may know more tokens than the model has rows, and transformers loads no model whose padding is past them.
    const auto known = [&](std::optional<std::int64_t> id) { return id && *id < self().vocab_size() ? id : std::nullopt; };
    if (!bos_token_id) bos_token_id = known(bos);
    if (eos_token_id.empty() && known(eos)) eos_token_id = {*eos};
    if (!pad_token_id) pad_token_id = known(pad);
  }

 protected:
  void token_id_fields(auto&& field) {
    field("bos_token_id", bos_token_id, "Begin of sequence, written to config.json.");
    field("eos_token_id", eos_token_id, "End of sequence, one or several, written to config.json.");
    field("pad_token_id", pad_token_id, "Padding, written to config.json.");
  }
  // config.json of this class: every field, the class's names, dtype in both styles. Rooms add rope and what is HF's alone.
  OrderedJson write_common(const char* hf_class, const char* model_type, at::ScalarType dtype) const {
    OrderedJson out = write_fields(self());
    out["architectures"] = {hf_class};
    out["model_type"] = model_type;
    out["eos_token_id"] = token_id_value(eos_token_id);
    out["use_cache"] = true;
    write_dtype(out, dtype);
    return out;
  }

 private:
  // Of the ids that `settings` give: transformers writes ids past the vocabulary into some configs itself, where nothing uses them.
  void check_token_ids(const std::vector<config::Setting>& settings, Violations& violations) const {
    for (const config::Setting& setting : settings) {
      if (setting.key == "model.bos_token_id" && bos_token_id) check_token_id(setting.key, *bos_token_id, self().vocab_size(), violations);
      if (setting.key == "model.pad_token_id" && pad_token_id) check_token_id(setting.key, *pad_token_id, self().vocab_size(), violations);
      if (setting.key != "model.eos_token_id") continue;
      for (const std::int64_t id : eos_token_id) check_token_id(setting.key, id, self().vocab_size(), violations);
    }
  }
  Derived& self() { return static_cast<Derived&>(*this); }
  const Derived& self() const { return static_cast<const Derived&>(*this); }
};

using NamedSize = std::pair<const char*, std::int64_t>;
// Each must be from 1 to a limit above any real model. False when one is not: rules that multiply them would overflow.
bool check_sizes(const std::vector<NamedSize>& sizes, Violations& violations);
bool check_layers(std::int64_t layers, Violations& violations);  // false as above
void check_heads(std::int64_t hidden_size, std::int64_t heads, std::int64_t kv_heads, std::optional<std::int64_t> head_dim, Violations& violations);
void check_experts(const char* experts_name, std::int64_t experts, std::int64_t top_k, Violations& violations);
// `rotary` is how many dimensions of a head are rotated.
void check_rope(double theta, const nn::RopeScaling& scaling, std::int64_t rotary, Violations& violations);
// Tokens of the longest text: max_position_embeddings, times the factor where frequencies follow the text's length (rope_type dynamic).
std::int64_t longest_text(std::int64_t max_position_embeddings, const nn::RopeScaling& scaling);
void check_epsilon(const char* name, double eps, Violations& violations);
void check_initializer_range(double initializer_range, Violations& violations);
void check_parameter_count(double parameters, Violations& violations);

// Decoders with RMS norms, rotary positions and grouped-query attention: most of the families. Derived::fields() calls decoder_fields().
template <class Derived>
class DecoderConfig : public FieldsConfig<Derived> {
 public:
  std::int64_t vocab_size_ = 32000, hidden_size = 4096, num_hidden_layers = 32, num_attention_heads = 32;
  std::optional<std::int64_t> num_key_value_heads;  // num_attention_heads when unset
  std::optional<std::int64_t> head_dim;             // hidden_size / num_attention_heads when unset
  std::int64_t max_position_embeddings = 4096;
  double rope_theta = 10000, rms_norm_eps = 1e-6, initializer_range = 0.02, attention_dropout = 0;
  nn::RopeScaling rope_scaling;
  bool tie_word_embeddings = false;

  std::int64_t kv_heads() const { return num_key_value_heads.value_or(num_attention_heads); }
  std::int64_t head_size() const { return head_dim.value_or(num_attention_heads > 0 ? hidden_size / num_attention_heads : 0); }

  // How many dimensions of a head are rotated.
  virtual std::int64_t rotary() const { return head_size(); }
  nn::RopeTable rope_table(std::int64_t rotary) const { return nn::make_rope_table(max_position_embeddings, rotary, rope_theta, rope_scaling); }

  std::int64_t vocab_size() const override { return vocab_size_; }
  std::int64_t max_positions() const override { return longest_text(max_position_embeddings, rope_scaling); }
  std::int64_t num_layers() const override { return num_hidden_layers; }
  double init_std() const override { return initializer_range; }
  std::int64_t num_heads() const override { return num_attention_heads; }
  bool ignores(const std::string& hf_name) const override {
    return ModelConfig::ignores(hf_name) || (tie_word_embeddings && hf_name == "lm_head.weight");
  }

 protected:
  void decoder_fields(auto&& field) {
    field("vocab_size", vocab_size_, "Rows of the embedding and of the head.");
    field("hidden_size", hidden_size, "Width of the residual stream.");
    field("num_hidden_layers", num_hidden_layers, "Layers.");
    field("num_attention_heads", num_attention_heads, "Query heads.");
    field("num_key_value_heads", num_key_value_heads, "Key and value heads; divides num_attention_heads, which it is when null.");
    field("head_dim", head_dim, "Width of a head; hidden_size / num_attention_heads when null.");
    field("max_position_embeddings", max_position_embeddings, "Longest sequence, in tokens.");
    field("rope_theta", rope_theta, "Base of the rotary frequencies.");
    field("rope_scaling", rope_scaling, "How rotary frequencies are stretched to longer texts.");
    field("rms_norm_eps", rms_norm_eps, "Added to the mean square in norms.");
    field("initializer_range", initializer_range, "Standard deviation of random weights.");
    field("tie_word_embeddings", tie_word_embeddings, "Whether the head is the embedding.");
    field("attention_dropout", attention_dropout, "Share of attention weights dropped in training; only 0 can be trained.");
    this->token_id_fields(field);
  }

  // Every field from config.json, rope in either style.
  HfConfig read_decoder(const Json& json, const std::string& where) {
    Json given = json;
    if (given.is_object() && given.contains("attention_dropout") && given["attention_dropout"].is_null()) given["attention_dropout"] = 0;  // as to HF's classes
    read_fields(static_cast<Derived&>(*this), HfConfig(given, where));
    const HfConfig hf(json, where);
    hf.read_rope(rope_theta, rope_scaling);
    return hf;
  }
  OrderedJson write_decoder(const char* hf_class, const char* model_type, at::ScalarType dtype,
                            std::optional<double> partial_rotary_factor = std::nullopt) const {
    OrderedJson out = this->write_common(hf_class, model_type, dtype);
    out["num_key_value_heads"] = kv_heads();
    write_rope(out, rope_theta, rope_scaling, partial_rotary_factor);
    return out;
  }
  // False when a size is impossible, and rules that multiply sizes must not run.
  bool check_decoder(Violations& violations) const {
    if (!check_sizes({{"vocab_size", vocab_size_}, {"hidden_size", hidden_size}, {"num_hidden_layers", num_hidden_layers},
                      {"num_attention_heads", num_attention_heads}, {"num_key_value_heads", kv_heads()}, {"max_position_embeddings", max_position_embeddings}},
                     violations)) {
      return false;
    }
    if (!check_layers(num_hidden_layers, violations)) return false;
    check_heads(hidden_size, num_attention_heads, kv_heads(), head_dim, violations);
    check_rope(rope_theta, rope_scaling, rotary(), violations);
    check_epsilon("rms_norm_eps", rms_norm_eps, violations);
    check_initializer_range(initializer_range, violations);
    return true;
  }
};

}  // namespace sluice::models
