#include "sluice/data/categories.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"

namespace sluice::data {

std::optional<int> Categories::find(std::string_view name) const {
  const auto found = std::ranges::find(names_, name);
  if (found == names_.end()) return std::nullopt;
  return static_cast<int>(found - names_.begin());
}

std::optional<int> Categories::find_index(std::string_view number) const {
  double value = -1;
  const auto [end, status] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (status != std::errc() || end != number.data() + number.size() || value != std::floor(value) || value < 0 || value >= size()) return std::nullopt;
  return static_cast<int>(value);
}

int Categories::require(std::string_view name, const std::string& where) const {
  if (const auto index = find(name)) return *index;
  if (const auto index = find_index(name)) return *index;
  throw Error(where + ": unknown category \"" + std::string(name) + "\"",
              did_you_mean(name, names_, "\"") + "use " + join_or(names_) + ", or name your own categories (routing_supervision.categories, --categories)");
}

Categories Categories::parse(std::vector<std::string> names, const std::string& what) {
  if (names.empty()) throw Error(what + " names no category", "name each label of your rows, such as [easy, hard]");
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (name->empty()) throw Error(what + " has an empty name", "name each label as your rows' expert_label does");
    if (std::find(names.begin(), name, *name) != name) throw Error(what + " names " + *name + " twice", "name each category once");
  }
  return Categories(std::move(names));
}

}  // namespace sluice::data
