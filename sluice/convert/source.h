// What is converted: a model folder of any layout, with its config, its table and a reader.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "sluice/convert/reader.h"

namespace sluice::convert {

struct Source {
  enum class Kind { kHf, kNative, kMegatron };
  fs::path path;
  Kind kind = Kind::kHf;
  Json json;  // its config.json as it stands
  std::unique_ptr<models::ModelConfig> config;
  std::vector<models::TensorSpec> table;
  std::unique_ptr<Reader> reader;
};

// Error when there is no model, when its architecture is unknown, and as the readers.
Source open_source(const fs::path& path, const std::optional<fs::path>& hf_config);

}  // namespace sluice::convert
