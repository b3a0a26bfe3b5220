// The question categories that experts are supervised with.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::data {

// Those that `sluice data annotate` gives, and that everything else takes where no others are named.
inline constexpr std::array<std::string_view, 4> kCategoryNames = {"factual_lookup", "numerical_reasoning", "multi_hop_reasoning",
                                                                   "commonsense_reasoning"};
inline constexpr int kNumCategories = static_cast<int>(kCategoryNames.size());

// A table of names. The index of a name is its `expert_label` number everywhere: in files, losses, reports.
class Categories {
 public:
  Categories() : names_(kCategoryNames.begin(), kCategoryNames.end()) {}
  explicit Categories(std::vector<std::string> names) : names_(std::move(names)) {}

  int size() const { return static_cast<int>(names_.size()); }
  const std::vector<std::string>& names() const { return names_; }
  const std::string& name(std::int64_t index) const { return names_.at(static_cast<std::size_t>(index)); }

  // The index of `name`; nothing when there is no such category.
  std::optional<int> find(std::string_view name) const;

  // The index that `number` writes, in any of JSON's ways: pandas makes 1.0 of a column with gaps, and "1" of one of texts.
  std::optional<int> find_index(std::string_view number) const;

  // By name, or by number where no name is one. An unknown label is an Error that names `where` ("file:line") and the nearest name.
  int require(std::string_view name, const std::string& where) const;

  // `names` as Categories. Error, opened by `what`, when there are none, or one is empty or there twice.
  static Categories parse(std::vector<std::string> names, const std::string& what);

  friend bool operator==(const Categories&, const Categories&) = default;

 private:
  std::vector<std::string> names_;
};

}  // namespace sluice::data
