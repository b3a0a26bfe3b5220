// The parameters of a run, and which of them it trains.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "sluice/nn/parameter.h"
#include "sluice/train/recipe.h"

namespace sluice::train {

// The model's parameters in the order of its tensor table, then the learned routing target's.
std::vector<nn::ParameterSpec> parameters_of(const ResolvedRecipe& resolved);

// Whether a parameter stays as it is: by a name of train.freeze (* stands for any run of characters) or by moe.freeze_router.
std::function<bool(const std::string& name)> frozen_by(const Recipe& recipe);

// Adds each name of train.freeze that no parameter matches, and a recipe that leaves nothing to train.
void check_freeze(const ResolvedRecipe& resolved, Violations& violations);

}  // namespace sluice::train
