#include "sluice/train/recipe_paths.h"

#include <algorithm>
#include <array>
#include <optional>

#include "sluice/base/error.h"

namespace sluice::train {
namespace {

enum class Names { kData, kModel };
struct PathSetting {
  const char* key;
  Names names;
  const char* remedy;
};
constexpr std::array kPathSettings{
    PathSetting{"data.path", Names::kData, "give the file with --data-file FILE"},
    PathSetting{"data.validation_path", Names::kData, "give the file with data.validation_path=FILE"},
    PathSetting{"model.load", Names::kModel, "give the model's folder with --model-id DIR"},
    PathSetting{"model.tokenizer", Names::kModel, "give the tokenizer's folder with model.tokenizer=DIR"},
};
// A list of weights and files.
constexpr PathSetting kBlend{"data.blend", Names::kData, "write a weight before each file: data.blend=[0.7, a.jsonl, 0.3, b.jsonl]"};

bool is_there(const fs::path& path) {
  std::error_code unreachable;  // what cannot be looked at is not there for us either
  return fs::exists(path, unreachable);
}

// The folder of the recipe that a setting came from ("recipes/a.yaml:12"); nothing for one from the command line.
std::optional<fs::path> folder_of(const config::Setting& setting) {
  const auto colon = setting.where.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  return fs::absolute(setting.where.substr(0, colon)).lexically_normal().parent_path();
}

// `written` from the recipe's folder or the one above; empty when it is in neither.
fs::path beside(const fs::path& recipe_folder, const fs::path& written) {
  for (const fs::path& folder : {recipe_folder, recipe_folder.parent_path()}) {
    if (is_there(folder / written)) return folder / written;
  }
  return {};
}

// `text` is the path in the value of `setting`.
void find(const config::Setting& setting, std::string& text, const PathSetting& kind, const ModelFinder& find_model, Violations& violations, std::vector<std::string>& notes) {
  if (text.empty() || is_there(text)) return;
  const auto recipe_folder = fs::path(text).is_relative() ? folder_of(setting) : std::nullopt;
  if (const fs::path found = recipe_folder ? beside(*recipe_folder, text) : fs::path(); !found.empty()) {
    notes.push_back(setting.key + " = " + text + " is not in the current folder; taken from " + found.string() + ", by the recipe's own place");
    text = found.string();
    return;
  }
  if (kind.names == Names::kModel && find_model) {
    try {
      const fs::path found = find_model(text);
      if (is_there(found)) {
        text = found.string();
        return;
      }
    } catch (const Error& error) {
      violations.add(error);
      return;
    }
  }
  std::string looked;
  if (fs::path(text).is_relative()) {
    looked = ": looked for in the current folder " + fs::current_path().string();
    if (recipe_folder) looked += ", and by the recipe's place in " + recipe_folder->string() + " and " + recipe_folder->parent_path().string();
  }
  violations.add(setting.where + ": " + setting.key + " = " + text + " does not exist" + looked, kind.remedy);
}

}  // namespace

void find_recipe_paths(std::vector<config::Setting>& settings, const ModelFinder& find_model, Violations& violations, std::vector<std::string>& notes) {
  const auto last_of = [&](const char* key) {
    return std::find_if(settings.rbegin(), settings.rend(), [&](const config::Setting& setting) { return setting.key == key; });
  };
  for (const PathSetting& kind : kPathSettings) {
    const auto last = last_of(kind.key);
    if (last == settings.rend() || last->value.is_list || last->value.items.size() != 1) continue;  // a wrong kind of value is found where it is read
    find(*last, last->value.items[0], kind, find_model, violations, notes);
  }
  if (const auto blend = last_of(kBlend.key); blend != settings.rend() && blend->value.is_list) {
    for (std::size_t i = 1; i < blend->value.items.size(); i += 2) find(*blend, blend->value.items[i], kBlend, find_model, violations, notes);
  }
}

}  // namespace sluice::train
