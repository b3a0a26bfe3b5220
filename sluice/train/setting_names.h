// The names that settings have, and which one was meant by a name that none has.
#pragma once
#include <string>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/config/value.h"

namespace sluice::train {

// Whether `key` is a size of a model, which its architecture has: model.hidden_size.
bool is_model_size(const std::string& key);

// Every setting's key, the sizes of all architectures included, each once.
std::vector<std::string> setting_keys();

// "did you mean 'train.seed'?", by the keys and their other spellings (aliases); how to list them all where none is near.
std::string did_you_mean(const std::string& key);

// Takes the settings that no section and no architecture has out of `settings`, and adds each to `violations` with what was probably meant;
// adds the settings that one recipe gives twice, under two spellings.
void check_names(std::vector<config::Setting>& settings, Violations& violations);

// Makes lists of the command line's values with commas of settings that are lists: --lora-target-modules q_proj,v_proj.
void split_lists(std::vector<config::Setting>& settings);

}  // namespace sluice::train
