#include "sluice/models/hf_config.h"

namespace sluice::models {
namespace {

constexpr const char* kRemedy = "mend config.json, or take it again from where the model came from";

// A rope type and its settings, from either style of object.
nn::RopeScaling scaling_of(const HfConfig& rope) {
  nn::RopeScaling scaling;
  config::for_each_leaf(scaling, [&](const std::string& key, auto& field, const char*) {
    if (key == "truncate") rope.read_flag(key, scaling.truncate);
    else if (!(key.starts_with("beta_") && rope.is_null(key))) rope.read(key, field);
  });
  if (!rope.has("rope_type")) rope.read("type", scaling.rope_type);
  if (scaling.beta_fast == 0) scaling.beta_fast = 32;  // 0 is null to HF
  if (scaling.beta_slow == 0) scaling.beta_slow = 1;
  switch (scaling.rope_type) {
    case nn::RopeType::kDefault: break;
    case nn::RopeType::kLinear:
    case nn::RopeType::kDynamic: rope.require({"factor"}); break;
    case nn::RopeType::kLlama3: rope.require({"factor", "low_freq_factor", "high_freq_factor"}); break;
    case nn::RopeType::kYarn:
      if (!rope.has("factor")) rope.require({"factor"});
      break;
    case nn::RopeType::kLongrope: rope.require({"short_factor", "long_factor"}); break;
  }
  return scaling;
}

// Whose original_max_position_embeddings HF also takes from the top level, before the object's own (Phi-3's style).
bool has_original_length(nn::RopeType type) { return type == nn::RopeType::kLlama3 || type == nn::RopeType::kYarn || type == nn::RopeType::kLongrope; }

bool same(const nn::RopeScaling& a, const nn::RopeScaling& b) { return config::differences(a, b).empty(); }

}  // namespace

const Json* HfConfig::find(std::string_view key) const {
  const auto found = config_.find(key);
  return found == config_.end() ? nullptr : &*found;
}

Error HfConfig::wrong(std::string_view key, const std::string& expected) const {
  return Error(where_ + ": " + std::string(key) + " = " + dump_json(*find(key)) + " is not " + expected, kRemedy);
}

void HfConfig::read(std::string_view key, std::int64_t& out) const {
  const Json* value = find(key);
  if (!value) return;
  if (!value->is_number_integer()) throw wrong(key, "a whole number");
  out = value->get<std::int64_t>();
}

void HfConfig::read(std::string_view key, double& out) const {
  const Json* value = find(key);
  if (!value) return;
  if (!value->is_number()) throw wrong(key, "a number");
  out = value->get<double>();
}

void HfConfig::read(std::string_view key, bool& out) const {
  const Json* value = find(key);
  if (!value) return;
  if (!value->is_boolean()) throw wrong(key, "true or false");
  out = value->get<bool>();
}

void HfConfig::read_flag(std::string_view key, bool& out) const {
  if (is_null(key)) out = false;
  else read(key, out);
}

void HfConfig::read(std::string_view key, std::string& out) const {
  const Json* value = find(key);
  if (!value) return;
  if (!value->is_string()) throw wrong(key, "a text");
  out = value->get<std::string>();
}

void HfConfig::read(std::string_view key, std::vector<std::int64_t>& out) const {
  const Json* value = find(key);
  if (!value) return;
  out.clear();
  if (value->is_null()) return;
  for (const Json& item : value->is_array() ? *value : Json::array({*value})) {
    if (!item.is_number_integer()) throw wrong(key, "a whole number or a list of them");
    out.push_back(item.get<std::int64_t>());
  }
}

void HfConfig::read(std::string_view key, std::vector<double>& out) const {
  const Json* value = find(key);
  if (!value) return;
  out.clear();
  if (value->is_null()) return;
  if (!value->is_array()) throw wrong(key, "a list of numbers");
  for (const Json& item : *value) {
    if (!item.is_number()) throw wrong(key, "a list of numbers");
    out.push_back(item.get<double>());
  }
}

void HfConfig::read(std::string_view key, std::vector<std::string>& out) const {
  const Json* value = find(key);
  if (!value) return;
  out.clear();
  if (value->is_null()) return;
  if (!value->is_array()) throw wrong(key, "a list of texts");
  for (const Json& item : *value) {
    if (!item.is_string()) throw wrong(key, "a list of texts");
    out.push_back(item.get<std::string>());
  }
}

void HfConfig::require(std::initializer_list<const char*> keys) const {
  for (const char* key : keys) {
    if (const Json* value = find(key); !value || value->is_null()) throw Error(where_ + " has no " + key, kRemedy);
  }
}

void HfConfig::refuse_null(std::initializer_list<const char*> keys) const {
  for (const char* key : keys) {
    if (is_null(key)) throw wrong(key, "a whole number, and transformers takes no null for it in this architecture");
  }
}

void HfConfig::require_one_of(std::string_view key, std::initializer_list<Json> allowed) const {
  const Json* value = find(key);
  if (!value) return;
  std::vector<std::string> texts;
  for (const Json& one : allowed) {
    if (*value == one) return;
    texts.push_back(dump_json(one));
  }
  throw Error(where_ + ": " + std::string(key) + " = " + dump_json(*value) + " is not supported for this architecture", "use a model with " + std::string(key) + " " + join_or(texts));
}

void HfConfig::read_rope(double& theta, nn::RopeScaling& scaling) const {
  const Json *new_style = find("rope_parameters"), *old_style = find("rope_scaling");
  const double otherwise = theta;
  read("rope_theta", theta);
  const auto with_original = [&](nn::RopeScaling of_object) {
    if (has_original_length(of_object.rope_type)) read("original_max_position_embeddings", of_object.original_max_position_embeddings);
    return of_object;
  };
  if (old_style && old_style->is_object()) scaling = with_original(scaling_of(HfConfig(*old_style, where_ + ": rope_scaling")));
  if (!new_style || !new_style->is_object()) return;
  const HfConfig rope(*new_style, where_ + ": rope_parameters");
  double new_theta = otherwise;
  rope.read("rope_theta", new_theta);
  const nn::RopeScaling new_scaling = with_original(scaling_of(rope));
  const std::string remedy = "keep the one that the model was trained with in both places";
  if (has("rope_theta") && rope.has("rope_theta") && theta != new_theta) {
    throw Error(where_ + ": rope_theta = " + config::format(theta) + " and rope_parameters.rope_theta = " + config::format(new_theta) + " disagree", remedy);
  }
  if (old_style && old_style->is_object() && !same(scaling, new_scaling)) {
    throw Error(where_ + ": rope_scaling and rope_parameters disagree: " + config::differences(scaling, new_scaling).front(), remedy);
  }
  if (rope.has("rope_theta")) theta = new_theta;
  scaling = new_scaling;
}

void HfConfig::read_partial_rotary_factor(double& factor) const {
  read("partial_rotary_factor", factor);
  if (const Json* rope = find("rope_parameters"); rope && rope->is_object()) HfConfig(*rope, where_ + ": rope_parameters").read("partial_rotary_factor", factor);
}

void write_rope(OrderedJson& config, double theta, const nn::RopeScaling& scaling, std::optional<double> partial_rotary_factor) {
  OrderedJson rope;
  const auto set = [&](const char* key, const auto& value) {
    if (value) rope[key] = *value;
  };
  rope["rope_type"] = config::format(scaling.rope_type);
  if (scaling.rope_type != nn::RopeType::kDefault) {
    if (scaling.factor || scaling.rope_type == nn::RopeType::kYarn) rope["factor"] = hf_value(scaling.factor);
    if (has_original_length(scaling.rope_type)) set("original_max_position_embeddings", scaling.original_max_position_embeddings);
  }
  if (scaling.rope_type == nn::RopeType::kLlama3) {
    rope["low_freq_factor"] = scaling.low_freq_factor;
    rope["high_freq_factor"] = scaling.high_freq_factor;
  }
  if (scaling.rope_type == nn::RopeType::kYarn) {
    rope["beta_fast"] = scaling.beta_fast;
    rope["beta_slow"] = scaling.beta_slow;
    set("mscale", scaling.mscale);
    set("mscale_all_dim", scaling.mscale_all_dim);
    set("attention_factor", scaling.attention_factor);
    rope["truncate"] = scaling.truncate;
  }
  if (scaling.rope_type == nn::RopeType::kLongrope) {
    rope["short_factor"] = scaling.short_factor;
    rope["long_factor"] = scaling.long_factor;
    // transformers 4.x looks for the original length at the top level alone, and takes no factor but the quotient of the lengths.
    if (scaling.factor || scaling.attention_factor) rope["attention_factor"] = nn::attention_factor(scaling, config["max_position_embeddings"].get<std::int64_t>());
    if (scaling.original_max_position_embeddings) config["original_max_position_embeddings"] = *scaling.original_max_position_embeddings;
  }
  config["rope_theta"] = theta;
  config["rope_scaling"] = scaling.rope_type == nn::RopeType::kDefault ? OrderedJson(nullptr) : rope;
  rope["rope_theta"] = theta;
  if (partial_rotary_factor) {
    config["partial_rotary_factor"] = *partial_rotary_factor;
    rope["partial_rotary_factor"] = *partial_rotary_factor;
  }
  config["rope_parameters"] = rope;
}

void write_dtype(OrderedJson& config, at::ScalarType dtype) {
  const std::string name = dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float32";
  config["torch_dtype"] = name;
  config["dtype"] = name;
}

OrderedJson token_id_value(const std::vector<std::int64_t>& ids) {
  if (ids.empty()) return nullptr;
  return ids.size() == 1 ? OrderedJson(ids.front()) : OrderedJson(ids);
}

}  // namespace sluice::models
