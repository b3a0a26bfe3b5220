#include "sluice/models/layer_types.h"

#include <algorithm>

namespace sluice::models {

std::vector<std::int64_t> attention_windows(const std::vector<std::string>& layer_types, std::optional<std::int64_t> sliding_window) {
  std::vector<std::int64_t> windows;
  for (const std::string& type : layer_types) windows.push_back(type == kSlidingAttention ? sliding_window.value_or(0) : 0);
  return windows;
}

void check_sliding_window(std::optional<std::int64_t> sliding_window, Violations& violations) {
  if (!sliding_window || *sliding_window >= 1) return;
  violations.add("model.sliding_window = " + std::to_string(*sliding_window) + " is not a number of positions", "use 1 or more, or null for none");
}

void check_layer_types(const std::vector<std::string>& layer_types, std::int64_t num_layers, std::optional<std::int64_t> sliding_window, Violations& violations) {
  if (static_cast<std::int64_t>(layer_types.size()) != num_layers) {
    violations.add("model.layer_types names " + std::to_string(layer_types.size()) + " layers, but the model has " + std::to_string(num_layers),
                   "name each layer once, or leave layer_types out");
  }
  for (const std::string& type : layer_types) {
    if (type == kFullAttention || type == kSlidingAttention) continue;
    violations.add("model.layer_types has '" + type + "'", std::string("use ") + kFullAttention + " or " + kSlidingAttention);
    return;
  }
  if (std::ranges::count(layer_types, kSlidingAttention) > 0 && !sliding_window) {
    violations.add("model.layer_types has sliding_attention, but there is no sliding window", "set model.sliding_window, or use full_attention");
  }
  check_sliding_window(sliding_window, violations);
}

}  // namespace sluice::models
