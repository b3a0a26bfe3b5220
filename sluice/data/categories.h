// The question categories that experts are supervised with: the one table of their names and indices.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::data {

// The index of a name is its `expert_label` number everywhere: in files, losses, reports.
inline constexpr std::array<std::string_view, 4> kCategoryNames = {"factual_lookup", "numerical_reasoning", "multi_hop_reasoning",
                                                                   "commonsense_reasoning"};
inline constexpr int kNumCategories = static_cast<int>(kCategoryNames.size());

// The index of `name`; nothing when there is no such category.
std::optional<int> category_index(std::string_view name);

// As category_index, but an unknown name is an Error that names `where` ("file:line") and the nearest known name.
int require_category(std::string_view name, const std::string& where);

}  // namespace sluice::data
