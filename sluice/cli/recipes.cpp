#include "sluice/cli/recipes.h"

#include <algorithm>
#include <iostream>

#include "sluice/base/error.h"
#include "sluice/config/recipe.h"
#include "sluice/train/recipe.h"

namespace sluice::cli {
namespace {

// A recipe's first comment line says what it is for.
std::string purpose(const fs::path& path) {
  LineReader reader(path);
  std::string line;
  return reader.next(line) && line.starts_with("# ") ? line.substr(2) : "";
}

void list() {
  std::vector<fs::path> found;
  for (const fs::path& folder : recipe_folders()) {
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() == ".yaml") found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  for (const fs::path& path : found) {
    const std::string name = path.stem();
    std::cout << name << std::string(name.size() < 32 ? 32 - name.size() : 1, ' ') << purpose(path) << "\n";
  }
}

// Every setting that the recipe gives, its bases included, under the names that they have here.
void show(const std::string& name) {
  std::vector<config::Setting> settings = config::load_recipe(config::find_recipe(name, recipe_folders()), recipe_folders());
  config::resolve_aliases(settings, train::aliases());
  std::vector<std::string> lines;
  for (auto setting = settings.rbegin(); setting != settings.rend(); ++setting) {  // the last one given is the one that holds
    const std::string start = setting->key + ": ";
    if (std::any_of(lines.begin(), lines.end(), [&](const std::string& line) { return line.starts_with(start); })) continue;
    lines.push_back(start + (setting->value.is_null ? "null" : setting->value.is_list ? config::format(setting->value.items) : setting->value.items.at(0)) + "  # " + setting->where);
  }
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) std::cout << *line << "\n";
}

}  // namespace

int run_recipes(const Arguments& arguments, Log&) {
  if (arguments.size() == 1 && arguments[0] == "list") list();
  else if (arguments.size() == 2 && arguments[0] == "show") show(arguments[1]);
  else if (!arguments.empty() && arguments[0] == "--help") std::cout << "usage: sluice recipes list | sluice recipes show NAME\n";
  else throw Error("sluice recipes takes `list` or `show NAME`", "sluice recipes list");
  return 0;
}

}  // namespace sluice::cli
