// Settings of a recipe's data section on the command lines of commands that read rows as training does.
#pragma once
#include <string>
#include <vector>

#include "sluice/cli/command.h"
#include "sluice/config/recipe.h"

namespace sluice::cli {

// Takes the words section.key=value, which are no flag's value, out of `arguments`. `switches` are the flags without a value: --json.
std::vector<config::Setting> take_settings(Arguments& arguments, const std::vector<std::string>& switches);

// Adds a flag that stands for a setting; nothing where it is empty.
void add_setting(std::vector<config::Setting>& settings, const std::string& key, const std::string& value);

}  // namespace sluice::cli
