// The architectures that Sluice knows, as an explicit list.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sluice/models/model.h"

namespace sluice::models {

struct Architecture {
  std::string name;      // HF's model_type: "mixtral"
  std::string hf_class;  // HF's `architectures` entry: "MixtralForCausalLM"
  std::function<std::unique_ptr<ModelConfig>()> make_config;
};

const std::vector<Architecture>& architectures();

// Error with the nearest names when there is none of that name.
const Architecture& find_architecture(const std::string& name, const std::string& where);

}  // namespace sluice::models
