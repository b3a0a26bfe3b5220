// Where the relative paths of a recipe lead.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/config/value.h"

namespace sluice::train {

// Another place to look for a model, such as a download cache: the path there, or any other path; Error, with a remedy of its own, when the
// name can mean nothing else.
using ModelFinder = std::function<fs::path(const std::string& name)>;

// A relative path of a setting that names something to read is taken from the current folder; where it is not there, from the folder of
// the recipe that gives it, or the folder above that (a project keeps its recipes in one folder), with a note; then `find_model` is asked,
// for models and tokenizers. Sets the settings to the paths found, and adds each path that is nowhere.
void find_recipe_paths(std::vector<config::Setting>& settings, const ModelFinder& find_model, Violations& violations, std::vector<std::string>& notes);

}  // namespace sluice::train
