#include "sluice/cli/run_recipe.h"

#include "sluice/config/fields.h"
#include "sluice/config/recipe.h"
#include "sluice/train/recipe.h"

namespace sluice::cli {
namespace {

// Of a setting that no section has (a model's size): false.
bool is_default(const config::Setting& setting) {
  train::Recipe changed;
  Violations unknown;
  config::apply(changed, {setting}, unknown);
  return unknown.empty() && config::differences(train::Recipe{}, changed).empty();
}

}  // namespace

fs::path run_of(const std::string& resume) {
  if (resume.empty() || resume == "latest") return {};
  const fs::path folder = (fs::path(resume) / "").parent_path();  // without a slash at the end
  if (fs::is_regular_file(folder / "config.yaml")) return folder;
  const fs::path checkpoints = fs::absolute(folder).lexically_normal().parent_path();
  const bool is_step = checkpoints.filename() == "checkpoints" && fs::is_regular_file(checkpoints.parent_path() / "config.yaml");
  return is_step ? checkpoints.parent_path() : fs::path();
}

std::vector<config::Setting> recipe_of_run(const fs::path& run) {
  std::vector<config::Setting> settings = config::load_recipe(run / "config.yaml", {});
  std::erase_if(settings, is_default);
  settings.push_back({"output_dir", {{run.string()}}, "--resume"});
  return settings;
}

}  // namespace sluice::cli
