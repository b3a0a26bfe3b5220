// What a config says of itself: its violations, and its config.json.
#pragma once
#include <string>

#include "sluice/base/error.h"
#include "sluice/models/model.h"

namespace sluice::models {

inline std::string complaints(const ModelConfig& config) {
  Violations violations;
  config.check(violations);
  try {
    violations.raise("model");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline Json as_hf(const ModelConfig& config) { return Json::parse(config.write_hf(at::kFloat).dump()); }

}  // namespace sluice::models
