#include "sluice/data/categories.h"

#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"

namespace sluice::data {

std::optional<int> category_index(std::string_view name) {
  for (int i = 0; i < kNumCategories; ++i) {
    if (kCategoryNames[static_cast<std::size_t>(i)] == name) return i;
  }
  return std::nullopt;
}

int require_category(std::string_view name, const std::string& where) {
  if (const auto index = category_index(name)) return *index;
  const std::vector<std::string> known(kCategoryNames.begin(), kCategoryNames.end());
  throw Error(where + ": unknown category \"" + std::string(name) + "\"; did you mean \"" + nearest(name, known) + "\"?",
              "use " + join_or(known) + ", or label the questions with `sluice data annotate`");
}

}  // namespace sluice::data
