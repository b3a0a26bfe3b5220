// The parameters of a run, and which of them it trains.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "sluice/dist/grid.h"
#include "sluice/models/lora.h"
#include "sluice/nn/parameter.h"
#include "sluice/train/recipe.h"

namespace sluice::train {

// The weights that get adapters, with rank and scale: those of lora.adapter, or those that lora.target_modules names. Empty without LoRA.
std::vector<models::LoraTarget> adapters_of(const ResolvedRecipe& resolved);

// Takes rank, alpha, targets and form of lora.adapter over into the recipe: they hold. A lora setting of the command line that says
// otherwise is a violation, one of a recipe a note. Nothing is done where the folder is not there: a resume may do without it.
void adopt_adapter(ResolvedRecipe& resolved, const std::vector<config::Setting>& settings, Violations& violations);

// Going on from `step_folder` with a recipe that has a lora.adapter: what is there by now is read instead of the adapter that began it,
// which may be gone.
void adopt_resumed_adapter(ResolvedRecipe& resolved, const fs::path& step_folder);

// The model's parameters in the order of its tensor table, then the adapters', then the learned routing target's.
std::vector<nn::ParameterSpec> parameters_of(const ResolvedRecipe& resolved);

// The same as the rank at a place of a layout holds them. `resolved` outlives it.
std::function<std::vector<nn::ParameterSpec>(const dist::Place& place)> parameters_held(const ResolvedRecipe& resolved, const dist::GridSizes& sizes);

// Whether a parameter stays as it is: by a name of train.freeze (* stands for any run of characters), by moe.freeze_router, or because
// LoRA trains adapters instead.
std::function<bool(const std::string& name)> frozen_by(const Recipe& recipe);

// Adds what is wrong with the adapters: names that no module has, or a file that is not this model's. Returns whether nothing is.
bool check_adapters(const ResolvedRecipe& resolved, Violations& violations);

// Adds each name of train.freeze that no parameter matches, and a recipe that leaves nothing to train.
void check_freeze(const ResolvedRecipe& resolved, Violations& violations);

}  // namespace sluice::train
