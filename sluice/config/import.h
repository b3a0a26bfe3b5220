// Other systems' configuration files as settings of ours, with a word on every key: what it became, or why it changes nothing here.
#pragma once
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/config/value.h"

namespace sluice::config {

// Primus's post-training YAML, VERL's SFT YAML, Megatron-Bridge's ConfigContainer YAML, DeepSpeed's JSON.
enum class System { kPrimus, kVerl, kMegatronBridge, kDeepspeed };
constexpr std::array<std::string_view, 4> names(System) { return {"primus", "verl", "megatron-bridge", "deepspeed"}; }

// A setting of ours for one that is spelt as a recipe of ours may spell it (by an alias, say); nothing for any other.
using OwnSpelling = std::function<std::optional<Setting>(const Setting&)>;

struct Imported {
  std::vector<Setting> settings;    // ours, each key once; `where` says which of their keys it comes from
  std::vector<std::string> report;  // a line for each of their keys: "training.lr -> optimizer.lr = 5.0e-6"
};

// `theirs` as their file has it (config::load_recipe), later ones over earlier. Keys without a rule of `system` are taken when
// `own_spelling` knows them. Error that lists every key that cannot be honoured, with its value and a remedy.
Imported import_settings(System system, std::vector<Setting> theirs, const OwnSpelling& own_spelling);

// Settings as the YAML of a recipe, sections in the order in which they first come, each line with where it comes from.
std::string recipe_yaml(const std::vector<Setting>& settings);

}  // namespace sluice::config
