#include "sluice/train/resume.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/checkpoint/sharded.h"
#include "sluice/config/fields.h"
#include "sluice/models/registry.h"
#include "sluice/train/parameters.h"
#include "sluice/train/setting_names.h"

namespace sluice::train {
namespace {

// The recipe that the run of this checkpoint was last started with; nothing where the folder stands alone.
std::optional<std::vector<config::Setting>> stored_settings(const fs::path& step_folder) {
  const fs::path file = step_folder.parent_path().parent_path() / "config.yaml";
  if (step_folder.parent_path().filename() != "checkpoints" || !fs::exists(file)) return std::nullopt;
  return config::load_recipe(file, {});
}

Recipe as_recipe(std::vector<config::Setting> settings) {
  std::erase_if(settings, [](const config::Setting& setting) { return is_model_size(setting.key); });
  Recipe recipe;
  Violations ignored;  // settings of an older version may be unknown now; they are only compared
  config::apply(recipe, settings, ignored);
  return recipe;
}

// A model's sizes, the token ids left out: a tokenizer fills those in.
std::vector<std::pair<std::string, std::string>> sizes_of(const models::ModelConfig& config) {
  auto out = config.settings();
  std::erase_if(out, [](const auto& setting) { return setting.first.ends_with("_token_id"); });
  return out;
}

using Shapes = std::set<std::pair<std::string, std::vector<std::int64_t>>>;

Shapes shapes_of(const models::ModelConfig& config) {
  Shapes out;
  for (const auto& spec : models::parameter_specs(config.tensor_table())) out.emplace(spec.name, spec.shape);
  return out;
}

// The model that the checkpoint holds, by its config.json.
class StoredModel {
 public:
  explicit StoredModel(const fs::path& step_folder) : where_((step_folder / "config.json").string()), json_(parse_json(read_file(where_), where_)) {
    architecture_ = json_.is_object() && json_.contains("model_type") && json_["model_type"].is_string() ? json_["model_type"].get<std::string>() : "";
  }
  const std::string& architecture() const { return architecture_; }
  std::shared_ptr<models::ModelConfig> config() const {
    std::shared_ptr<models::ModelConfig> config = models::find_architecture(architecture_, where_).make_config();
    config->read_hf(json_, where_);
    return config;
  }
  // Whether one size, set to `value`, makes other tensors of it.
  bool is_shaped_by(const std::string& key, const std::string& value) const {
    const auto changed = config();
    config::Value written{{value}};
    written.is_null = value == "null";
    Violations ignored;  // of a resolved recipe: it has been read once
    changed->apply({{key, written, "the recipe"}}, ignored);
    return shapes_of(*changed) != shapes_of(*config());
  }

 private:
  std::string where_;
  Json json_;
  std::string architecture_;
};

struct SizeChange {
  std::string key, before, now;
};

std::vector<SizeChange> size_changes(const models::ModelConfig& before, const models::ModelConfig& now) {
  const auto old_sizes = sizes_of(before), new_sizes = sizes_of(now);
  std::vector<SizeChange> out;
  for (std::size_t i = 0; i < old_sizes.size(); ++i) {
    if (old_sizes[i].second != new_sizes[i].second) out.push_back({old_sizes[i].first, old_sizes[i].second, new_sizes[i].second});
  }
  return out;
}

void check_sizes(const fs::path& step_folder, const ResolvedRecipe& resolved, Violations& violations) {
  const StoredModel stored(step_folder);
  const std::string& given = resolved.recipe.model.architecture;
  if (resolved.recipe.model.load.empty() && stored.architecture() != given) {
    violations.add("model.architecture = " + given + ", but " + step_folder.string() + " is a " + stored.architecture(), "resume with model.architecture=" + stored.architecture());
    return;
  }
  for (const SizeChange& change : size_changes(*stored.config(), *resolved.model_config)) {
    if (!stored.is_shaped_by(change.key, change.now)) continue;
    violations.add(change.key + " = " + change.now + ", but " + step_folder.string() + " was trained with " + change.before, "resume with " + change.key + "=" + change.before);
  }
}

// The adapters of a step folder must be those of the recipe.
void check_adapters_stored(const fs::path& step_folder, const ResolvedRecipe& resolved, Violations& violations) {
  const bool stored = checkpoint::is_adapter_folder(step_folder), given = resolved.recipe.lora.use_lora;
  if (stored != given) {
    violations.add("lora.use_lora = " + config::format(given) + ", but " + step_folder.string() + (stored ? " holds adapters" : " holds whole weights"),
                   given ? "train adapters of its weights in a new run: model.load=" + step_folder.string() : "resume with lora.use_lora=true");
    return;
  }
  const auto stored_targets = checkpoint::read_adapter(step_folder, resolved.model_config->tensor_table()).targets, given_targets = adapters_of(resolved);
  const auto shapes = [](const std::vector<models::LoraTarget>& targets) {
    Shapes out;
    for (const nn::ParameterSpec& spec : models::parameter_specs(targets)) out.emplace(spec.name, spec.shape);
    return out;
  };
  const models::LoraConfig& lora = resolved.recipe.lora;
  const char* const remedy = "resume with the lora section that the run was started with: its config.yaml is in the run folder";
  if (shapes(stored_targets) != shapes(given_targets)) {
    violations.add("the adapters of this recipe (lora.rank = " + config::format(lora.rank) + ", lora.target_modules = " + config::format(lora.target_modules) + ") are not those of " + step_folder.string(), remedy);
    return;
  }
  for (const models::LoraTarget& target : given_targets) {
    const auto same = std::ranges::find(stored_targets, target.name, &models::LoraTarget::name);
    if (std::abs(same->scale - target.scale) <= 1e-9 * same->scale) continue;  // the file has alpha in decimals
    violations.add("lora.alpha = " + config::format(lora.alpha) + " with lora.use_rslora = " + config::format(lora.use_rslora) + " multiplies adapters by " + config::format(target.scale) + ", but " +
                       step_folder.string() + " was trained with " + config::format(same->scale),
                   remedy);
    return;
  }
}

// What is trained must stay the same: the optimizer has moments of that and of nothing else.
void check_trained(const fs::path& step_folder, const ResolvedRecipe& resolved, Violations& violations) {
  if (resolved.recipe.lora.use_lora || checkpoint::is_adapter_folder(step_folder)) return check_adapters_stored(step_folder, resolved, violations);
  using checkpoint::ShardedFolder;
  const ShardedFolder weights(step_folder, ShardedFolder::Checksums::kSkip), moments(step_folder / "trainer", ShardedFolder::Checksums::kSkip);
  const auto frozen = frozen_by(resolved.recipe);
  bool target_given = false;
  std::int64_t newly_frozen = 0, newly_trained = 0;
  for (const nn::ParameterSpec& spec : parameters_of(resolved)) {
    target_given = target_given || spec.name.starts_with("routing_supervision.");
    if (!weights.find(spec.name)) continue;  // of other sizes, which check_sizes names
    const bool trained = moments.find("exp_avg." + spec.name) != nullptr;
    newly_frozen += trained && frozen(spec.name);
    newly_trained += !trained && spec.update == nn::Update::kGradient && !frozen(spec.name);
  }
  const auto settings = stored_settings(step_folder);
  const Recipe before = as_recipe(settings.value_or(std::vector<config::Setting>{}));
  if (newly_frozen + newly_trained > 0) {
    const auto words = [](const Recipe& recipe) {
      return "train.freeze = " + config::format(recipe.train.freeze) + " and moe.freeze_router = " + config::format(recipe.moe.freeze_router);
    };
    violations.add(words(resolved.recipe) + ", but " + step_folder.string() + " was trained with " +
                       (settings ? words(before) : std::to_string(newly_frozen) + " parameters trained that are now frozen, and " + std::to_string(newly_trained) + " the other way round"),
                   settings ? "resume with train.freeze=" + config::format(before.train.freeze) + " moe.freeze_router=" + config::format(before.moe.freeze_router)
                            : "resume with what was frozen then");
  }
  const bool target_stored = weights.find("routing_supervision.weight") != nullptr;
  if (target_given == target_stored) return;
  const auto& now = resolved.recipe.routing_supervision;
  violations.add("routing_supervision.target = " + config::format(now.target) + " with weight " + config::format(now.weight) + ", but " + step_folder.string() +
                     (target_stored ? " holds the label embedding of target learned" : " holds no label embedding, which target learned trains"),
                 target_stored ? "resume with routing_supervision.target=learned and a weight above 0" : "resume with routing_supervision.target=balanced, or weight 0");
}

// Of a rank's share of the files. A file that cannot be read is a fault: the other ranks wait for an answer.
std::optional<std::string> fault_of_share(const fs::path& step_folder, std::int64_t rank, std::int64_t ranks) {
  try {
    return checkpoint::manifest_fault(step_folder, checkpoint::Verify::kContents, {rank, ranks});
  } catch (const Error& error) {
    return error.problem();
  }
}

// The highest rank whose share has a fault; nothing where none has. All ranks come here.
std::optional<std::int64_t> rank_with_fault(const dist::Mesh& mesh, bool here) {
  const double highest = mesh.world->max(here ? static_cast<double>(mesh.rank) : -1);
  return highest < 0 ? std::nullopt : std::optional(static_cast<std::int64_t>(highest));
}

void check_progress(const fs::path& step_folder, const Recipe& recipe, const SessionData* data, Violations& violations) {
  const Progress saved = read_progress(step_folder);
  const std::string from = step_folder.string(), batch = std::to_string(recipe.global_batch_size());
  if (saved.seed != recipe.train.seed) {
    violations.add("train.seed = " + std::to_string(recipe.train.seed) + ", but " + from + " was trained with " + std::to_string(saved.seed),
                   "resume with train.seed=" + std::to_string(saved.seed));
  }
  if (saved.data_position != saved.step * recipe.global_batch_size()) {
    const std::string before = saved.step > 0 ? std::to_string(saved.data_position / saved.step) : "another number of";
    violations.add("a step has " + batch + " rows (train.micro_batch_size = " + config::format(recipe.train.micro_batch_size) + " times " +
                       config::format(recipe.accumulation_steps()) + " micro-batches: global_batch_size = " + batch + "), but " + from + " was trained with " + before,
                   "resume with the batch size that the run was started with");
  }
  if (data && saved.data_fingerprint != data->sets.train->counts().fingerprint) {
    violations.add("the rows of " + data->sets.train->path().string() + " are not those that " + from + " was trained on",
                   "resume with the same data (file, data.max_samples, lengths, tokenizer), or start a new run from the weights: model.load=" + from);
  }
}

}  // namespace

SharedLook::~SharedLook() {
  try {
    mesh_.from_leader("");
  } catch (const Error&) {  // a rank that is gone: the next exchange says so
  }
}

std::optional<std::string> SharedLook::fault_of(const fs::path& step_folder) const {
  mesh_.from_leader(step_folder.string());
  const auto own = fault_of_share(step_folder, mesh_.rank, mesh_.world->size());
  const auto rank = rank_with_fault(mesh_, own.has_value());
  return own || !rank ? own : fault_of_share(step_folder, *rank, mesh_.world->size());
}

void look_along(const dist::Mesh& mesh) {
  for (;;) {
    const std::string step_folder = mesh.from_leader("");
    if (step_folder.empty()) return;
    rank_with_fault(mesh, fault_of_share(step_folder, mesh.rank, mesh.world->size()).has_value());
  }
}

checkpoint::FindFault contents_fault() {
  return [](const fs::path& step_folder) { return checkpoint::manifest_fault(step_folder, checkpoint::Verify::kContents); };
}

std::optional<ResumePoint> find_resume(const std::string& asked, const fs::path& output, const checkpoint::FindFault& find_fault) {
  const bool newest = asked == "latest";
  const fs::path given = newest ? output : checkpoint::follow_pointer((fs::path(asked) / "").parent_path());  // without a last slash
  if (!newest && !fs::is_directory(given)) {
    throw Error("--resume " + asked + ": there is no such folder", "give a run folder, one of its checkpoints/step-*, or `latest`");
  }
  // A step folder has its name from a run, or any name after a conversion.
  if (checkpoint::step_of(given.filename().string()) || fs::exists(given / "trainer" / "state.json")) {
    checkpoint::require_whole(given, checkpoint::Verify::kSizes);
    return ResumePoint{given, ""};
  }
  const bool inside = given.filename() == "checkpoints" && !fs::exists(checkpoint::checkpoints_folder(given));
  const auto latest = checkpoint::find_latest(inside ? given.parent_path() : given, find_fault);
  if (latest) return ResumePoint{latest->path, latest->note};
  if (newest) return std::nullopt;
  throw Error("--resume " + asked + ": that folder holds no checkpoint", "give a run folder that has checkpoints, or a step folder");
}

ResolvedRecipe as_resumed(ResolvedRecipe resolved, const std::string& asked) {
  if (asked.empty() || resolved.recipe.lora.adapter.empty()) return resolved;
  if (const auto point = find_resume(asked, resolved.recipe.output_dir)) adopt_resumed_adapter(resolved, point->folder);
  return resolved;
}

void check_resume(const fs::path& step_folder, const ResolvedRecipe& resolved, const SessionData* data, Violations& violations) {
  check_sizes(step_folder, resolved, violations);
  check_trained(step_folder, resolved, violations);
  check_progress(step_folder, resolved.recipe, data, violations);
}

std::vector<std::string> changed_settings(const fs::path& step_folder, const ResolvedRecipe& resolved) {
  const auto settings = stored_settings(step_folder);
  if (!settings) return {};
  std::vector<std::string> out = config::differences(as_recipe(*settings), resolved.recipe);
  for (const SizeChange& change : size_changes(*StoredModel(step_folder).config(), *resolved.model_config)) {
    out.push_back(change.key + ": " + change.before + " -> " + change.now);
  }
  return out;
}

}  // namespace sluice::train
