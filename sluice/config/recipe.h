// Reads recipes: YAML files with one optional `base:`, then overrides, as one flat list of settings.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/config/value.h"

namespace sluice::config {

struct AliasValue {
  std::string from, to;  // `from` in lower case
};

// Another spelling of a setting. `from` may end in ".*": then so does `to`, and any key of that section is meant. Values that have another
// name there (`true` for `full`) are renamed with it, in any case of letters; all others stay as they are written.
struct Alias {
  std::string from, to;
  std::vector<AliasValue> values = {};
};

// The settings of a recipe: those of its `base:` first (a path relative to the recipe, or a name in `recipe_folders`), then its own.
// Error for a missing file, broken YAML, a key given twice, or bases that form a circle.
std::vector<Setting> load_recipe(const fs::path& path, const std::vector<fs::path>& recipe_folders);

// `name_or_path` as a file: itself if it exists, else NAME.yaml in one of the folders. Error with the nearest names.
fs::path find_recipe(const std::string& name_or_path, const std::vector<fs::path>& recipe_folders);

// Reads "section.key=value"; the value is YAML, so lists are written [a, b]. Error when there is no '='.
Setting parse_override(const std::string& text);

// Renames keys by the first alias that fits. An exact alias wins over a section's; what a section's gives may be an exact one in turn.
void resolve_aliases(std::vector<Setting>& settings, const std::vector<Alias>& aliases);

}  // namespace sluice::config
