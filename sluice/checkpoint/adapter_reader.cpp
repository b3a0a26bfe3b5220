#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <regex>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/base/nearest.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/safetensors.h"

namespace sluice::checkpoint {
namespace {

using models::ExpertForm;
using models::LoraTarget;

Json read_config(const fs::path& folder) {
  const fs::path path = folder / kAdapterConfig;
  if (!fs::exists(path)) throw Error(folder.string() + " has no " + kAdapterConfig, "give the folder of a PEFT adapter: adapter_config.json with adapter_model.safetensors");
  Json config = parse_json(read_file(path), path.string());
  if (!config.is_object()) throw Error(path.string() + " is not an object", "copy the adapter again");
  return config;
}

std::string base_model_of(const Json& config) {
  const auto base = config.find("base_model_name_or_path");
  return base != config.end() && base->is_string() ? base->get<std::string>() : "";
}

bool is_set(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && !found->is_null() && *found != Json(false) && *found != Json("none") && !(found->is_structured() && found->empty());
}

// Initialisations of PEFT's that change the base model each time the adapter is put on it.
bool changes_base(const std::string& initialisation) {
  static constexpr std::array<const char*, 5> kNames{"pissa", "olora", "corda", "loftq", "lora_ga"};
  return std::ranges::any_of(kNames, [&](const char* name) { return initialisation.starts_with(name); });
}

void require_plain_lora(const Json& config, const std::string& where) {
  const std::string type = config.value("peft_type", "");
  if (type != "LORA") throw Error(where + ": peft_type is \"" + type + "\"", "this program reads adapters of type LORA");
  static constexpr std::array<const char*, 12> kNotComputed{"use_dora", "lora_bias", "modules_to_save", "layer_replication", "bias", "use_qalora", "trainable_token_indices", "arrow_config",
                                                            "alora_invocation_tokens", "use_bdlora", "kasa_config", "monteclora_config"};
  for (const char* key : kNotComputed) {
    if (!is_set(config, key)) continue;
    throw Error(where + ": " + key + " = " + dump_json(config[key]) + ", which this program does not compute", "train the adapter without it, or merge it with PEFT (merge_and_unload)");
  }
  const auto initialisation = config.find("init_lora_weights");
  if (initialisation == config.end() || !initialisation->is_string()) return;
  std::string name = initialisation->get<std::string>();
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (!changes_base(name)) return;
  throw Error(where + ": init_lora_weights = \"" + initialisation->get<std::string>() + "\": the adapter belongs to a base model that PEFT changes when it loads it, not to the base model itself",
              "save it as a plain one (PEFT's save_pretrained with path_initial_model_for_weight_conversion), or merge it with PEFT (merge_and_unload)");
}

// Before any tensor is looked at: what a method adds to the file would only be named as unknown.
Json read_plain_config(const fs::path& folder) {
  Json config = read_config(folder);
  require_plain_lora(config, (folder / kAdapterConfig).string());
  return config;
}

// The tensors of one module; experts of a stacked weight are one module.
struct Pair {
  const TensorView *a = nullptr, *b = nullptr;
};

// By module path, as transformers 5 has it.
std::map<std::string, Pair> pairs_of(const SafetensorsFile& file) {
  std::map<std::string, Pair> out;
  for (const TensorView& tensor : file.tensors()) {
    std::string path = tensor.name;
    if (const std::string prefix = "base_model.model."; path.starts_with(prefix)) path = path.substr(prefix.size());
    Pair* pair = nullptr;
    for (const auto& [suffix, half] : {std::pair(std::string(".lora_A.weight"), &Pair::a), {".lora_B.weight", &Pair::b}}) {
      if (!path.ends_with(suffix)) continue;
      pair = &out[models::newer_path(path.substr(0, path.size() - suffix.size()))];
      pair->*half = &tensor;
    }
    if (!pair) {
      throw Error(file.path().string() + " has " + tensor.name + ", which is no adapter of a matrix", "this program reads lora_A and lora_B of linear modules and stacked experts");
    }
  }
  for (const auto& [module, pair] : out) {
    if (!pair.a || !pair.b) throw Error(file.path().string() + " has only half of the adapter of " + module, "copy the file again");
  }
  return out;
}

at::Tensor float32(const SafetensorsFile& file, const TensorView& view) {
  const at::Tensor values = tensor_over(view).to(at::kFloat).contiguous().clone();
  if (at::isfinite(values).all().item<bool>()) return values;
  throw Error(file.path().string() + ": " + view.name + " has values that are NaN or infinite", "take an earlier checkpoint: the training that wrote this one had diverged");
}

// What a module's own entries in rank_pattern or alpha_pattern say, else `common`. PEFT's rule: a pattern matches the end of a path.
double by_pattern(const Json& config, const char* key, const std::string& module, double common) {
  const auto patterns = config.find(key);
  if (patterns == config.end() || !patterns->is_object()) return common;
  for (const auto& [pattern, value] : patterns->items()) {
    if (std::regex_match(module, std::regex("(.*\\.)?(" + pattern + ")")) && value.is_number()) return value.get<double>();
  }
  return common;
}

class Reader {
 public:
  Reader(const fs::path& folder, const std::vector<models::TensorSpec>& table) : config_(read_plain_config(folder)), file_(weights_of(folder)), pairs_(pairs_of(file_)) {
    adapter_.path = folder;
    adapter_.base_model = base_model_of(config_);
    adapter_.alpha = config_.value("lora_alpha", 8.0);
    adapter_.use_rslora = config_.value("use_rslora", false);
    for (const ExpertForm form : {ExpertForm::kSplit, ExpertForm::kFused}) {
      for (const LoraTarget& target : models::possible_targets(table, form)) {
        if (target.experts == 0 && form == ExpertForm::kFused) continue;  // once is enough
        target.is_fused() ? take_stacked(target) : take_modules(target);
      }
    }
    require_all_used(table);
    adapter_.rank = config_.value("r", adapter_.targets[0].rank);
  }

  Adapter result() { return std::move(adapter_); }

 private:
  static SafetensorsFile weights_of(const fs::path& folder) {
    if (fs::exists(folder / "adapter_model.bin") && !fs::exists(folder / kAdapterWeights)) {
      throw Error(folder.string() + " has its weights as adapter_model.bin", "save them again with safetensors (PEFT's default since 0.5)");
    }
    return SafetensorsFile(folder / kAdapterWeights);
  }

  void take_modules(LoraTarget target) {
    std::vector<at::Tensor> a, b;
    std::string missing;
    for (const std::string& module : target.modules) {
      const auto found = pairs_.find(models::newer_path(module));
      if (found == pairs_.end()) {
        missing = module;
        continue;
      }
      require_shapes(found->first, found->second, {target.in, target.out});
      a.push_back(float32(file_, *found->second.a));
      b.push_back(float32(file_, *found->second.b));
      pairs_.erase(found);
    }
    if (a.empty()) return;
    if (!missing.empty()) throw Error(file_.path().string() + " has adapters of some experts, and none of " + missing, "adapters of experts must be there for all of a layer's experts");
    if (std::ranges::any_of(a, [&](const at::Tensor& x) { return x.size(0) != a[0].size(0); })) {
      throw Error(file_.path().string() + ": the experts of " + target.modules[0] + "'s layer have adapters of different ranks", "give them one rank");
    }
    const bool experts = target.experts > 0;
    add(std::move(target), experts ? at::stack(a) : a[0], experts ? at::stack(b) : b[0]);
  }

  // PEFT nests the wrappers of a module's two stacked weights, so the paths are "experts" and "experts.base_layer"; shapes say which is which.
  void take_stacked(LoraTarget target) {
    const std::string experts = target.experts_module();
    for (const std::string& module : {experts, experts + ".base_layer"}) {
      const auto found = pairs_.find(module);
      if (found == pairs_.end() || found->second.a->shape.back() != target.in || found->second.b->shape[0] != target.out) continue;
      const at::Tensor a = float32(file_, *found->second.a), b = float32(file_, *found->second.b);
      if (a.size(0) % target.experts != 0 || b.size(1) != a.size(0)) {
        throw Error(file_.path().string() + ": " + found->second.a->name + " has " + std::to_string(a.size(0)) + " rows, no multiple of the " + std::to_string(target.experts) + " experts",
                    "is the adapter of this model?");
      }
      pairs_.erase(found);
      const std::int64_t rank = a.size(0) / target.experts;
      // PEFT's b is [out, rank * experts], experts fastest.
      add(std::move(target), a.view({target.experts, rank, target.in}), b.view({target.out, rank, target.experts}).permute({2, 0, 1}).contiguous());
      return;
    }
  }

  struct Sizes {
    std::int64_t in, out;
  };
  void require_shapes(const std::string& module, const Pair& pair, const Sizes& sizes) const {
    const auto &a = pair.a->shape, &b = pair.b->shape;
    if (a.size() == 2 && b.size() == 2 && a[1] == sizes.in && b[0] == sizes.out && a[0] == b[1] && a[0] > 0) return;
    throw Error(file_.path().string() + ": the adapter of " + module + " is " + shape_text(a) + " and " + shape_text(b) + ", and the weight has " + std::to_string(sizes.in) + " inputs and " +
                    std::to_string(sizes.out) + " outputs",
                "use an adapter that was trained on this model");
  }

  void add(LoraTarget target, at::Tensor a, at::Tensor b) {
    const std::string& module = target.modules[0];
    target.rank = a.size(-2);
    const double as_parameter = by_pattern(config_, "alpha_pattern", module + ".weight", adapter_.alpha), alpha = by_pattern(config_, "alpha_pattern", module, as_parameter);
    const double rank = static_cast<double>(target.rank);
    target.scale = alpha / (adapter_.use_rslora ? std::sqrt(rank) : rank);
    adapter_.targets.push_back(std::move(target));
    adapter_.a.push_back(std::move(a));
    adapter_.b.push_back(std::move(b));
  }

  void require_all_used(const std::vector<models::TensorSpec>& table) const {
    if (adapter_.targets.empty() && pairs_.empty()) throw Error(file_.path().string() + " has no adapters", "copy the file again");
    if (pairs_.empty()) return;
    std::vector<std::string> names;
    for (const LoraTarget& target : models::possible_targets(table, ExpertForm::kSplit)) names.insert(names.end(), target.modules.begin(), target.modules.end());
    const std::string& first = pairs_.begin()->first;
    throw Error(file_.path().string() + " has adapters of " + std::to_string(pairs_.size()) + " modules that this model does not have, such as " + first,
                "use the base model that it was trained on" + (adapter_.base_model.empty() ? "" : " (" + adapter_.base_model + ")") + "; the nearest module here is " + nearest(first, names));
  }

  const Json config_;
  const SafetensorsFile file_;
  std::map<std::string, Pair> pairs_;  // those not yet taken
  Adapter adapter_;
};

}  // namespace

bool is_adapter_folder(const fs::path& folder) { return fs::exists(folder / kAdapterConfig); }

std::string base_model_of(const fs::path& folder) { return base_model_of(read_config(folder)); }

Adapter read_adapter(const fs::path& folder, const std::vector<models::TensorSpec>& table) {
  try {
    return Reader(folder, table).result();
  } catch (const nlohmann::json::exception& error) {
    throw Error((folder / kAdapterConfig).string() + ": " + error.what(), "copy the adapter again");
  } catch (const std::regex_error& error) {
    throw Error((folder / kAdapterConfig).string() + ": alpha_pattern has a pattern that is none: " + error.what(), "write it as PEFT does");
  }
}

void load_adapter(const Adapter& adapter, nn::ParameterStore& store) {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < adapter.targets.size(); ++i) {
    const nn::Parameter &a = store.at(adapter.targets[i].a()), &b = store.at(adapter.targets[i].b());
    nn::copy_part(a.spec, adapter.a[i], a.value.detach());
    nn::copy_part(b.spec, adapter.b[i], b.value.detach());
  }
}

}  // namespace sluice::checkpoint
