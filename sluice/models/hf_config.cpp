#include "sluice/models/hf_config.h"

#include "sluice/base/error.h"

namespace sluice::models {

Error HfConfig::wrong(const std::string& key, const Json& value, const std::string& expected) const {
  return Error(where_ + ": " + key + " = " + dump_json(value) + " is not " + expected, "mend config.json, or take it again from where the model came from");
}

std::optional<std::int64_t> HfConfig::optional_integer(const char* key) const {
  const auto found = config_.find(key);
  if (found == config_.end() || found->is_null()) return std::nullopt;
  if (!found->is_number_integer()) throw wrong(key, *found, "a whole number");
  return found->get<std::int64_t>();
}

std::int64_t HfConfig::integer(const char* key) const {
  const auto value = optional_integer(key);
  if (!value) throw Error(where_ + " has no " + std::string(key), "mend config.json, or take it again from where the model came from");
  return *value;
}

std::int64_t HfConfig::integer(const char* key, std::int64_t otherwise) const { return optional_integer(key).value_or(otherwise); }

double HfConfig::number(const char* key, double otherwise) const {
  const auto found = config_.find(key);
  if (found == config_.end() || found->is_null()) return otherwise;
  if (!found->is_number()) throw wrong(key, *found, "a number");
  return found->get<double>();
}

bool HfConfig::boolean(const char* key, bool otherwise) const {
  const auto found = config_.find(key);
  if (found == config_.end() || found->is_null()) return otherwise;
  if (!found->is_boolean()) throw wrong(key, *found, "true or false");
  return found->get<bool>();
}

std::string HfConfig::text(const char* key, const std::string& otherwise) const {
  const auto found = config_.find(key);
  if (found == config_.end() || found->is_null()) return otherwise;
  if (!found->is_string()) throw wrong(key, *found, "a text");
  return found->get<std::string>();
}

double HfConfig::rope_theta(double otherwise) const {
  const auto parameters = config_.find("rope_parameters");
  const bool new_style = parameters != config_.end() && parameters->is_object() && parameters->contains("rope_theta");
  const double old_value = number("rope_theta", otherwise);
  if (!new_style) return old_value;
  const double value = HfConfig(*parameters, where_ + ": rope_parameters").number("rope_theta", otherwise);
  if (config_.contains("rope_theta") && old_value != value) {
    throw Error(where_ + ": rope_theta = " + std::to_string(old_value) + " and rope_parameters.rope_theta = " + std::to_string(value) + " disagree",
                "keep the one that the model was trained with in both places");
  }
  return value;
}

void HfConfig::require_default_rope() const {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto found = config_.find(key);
    if (found == config_.end() || !found->is_object()) continue;
    const HfConfig rope(*found, where_ + ": " + key);
    const std::string type = rope.text("rope_type", rope.text("type", "default"));
    if (type != "default") throw Error(where_ + ": " + key + " has rope_type '" + type + "', which this architecture does not use", "use rope_type default");
  }
}

void write_both_styles(OrderedJson& config, double rope_theta, const std::string& dtype) {
  config["rope_theta"] = rope_theta;
  config["rope_scaling"] = nullptr;
  config["rope_parameters"] = {{"rope_theta", rope_theta}, {"rope_type", "default"}};
  config["torch_dtype"] = dtype;
  config["dtype"] = dtype;
}

}  // namespace sluice::models
