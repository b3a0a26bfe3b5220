// HF's layer_types: which layers see the whole text and which a sliding window of it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/error.h"

namespace sluice::models {

inline constexpr const char* kFullAttention = "full_attention";
inline constexpr const char* kSlidingAttention = "sliding_attention";

// One entry a layer, as nn::AttentionOptions::window: `sliding_window` where the type is sliding_attention, else 0.
std::vector<std::int64_t> attention_windows(const std::vector<std::string>& layer_types, std::optional<std::int64_t> sliding_window);

// Every type is one of the two, there is one a layer, and a window where one is needed.
void check_layer_types(const std::vector<std::string>& layer_types, std::int64_t num_layers, std::optional<std::int64_t> sliding_window, Violations& violations);
void check_sliding_window(std::optional<std::int64_t> sliding_window, Violations& violations);

}  // namespace sluice::models
