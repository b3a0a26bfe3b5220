#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>

#include "sluice/base/json.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/safetensors_writer.h"

namespace sluice::checkpoint {
namespace {

using models::ExpertForm;
using models::LoraTarget;

constexpr const char* kPrefix = "base_model.model.";

struct Stored {
  std::string name;
  at::Tensor tensor;  // contiguous float32
};

bool is_router(const LoraTarget& target) { return target.parameter.ends_with(".router.weight"); }

bool has_fused(const std::vector<LoraTarget>& targets) { return std::ranges::any_of(targets, &LoraTarget::is_fused); }

std::string last_parts(const std::string& path, int count) {
  std::size_t at = path.size();
  for (; count > 0 && at != std::string::npos; --count) at = path.rfind('.', at - 1);
  return at == std::string::npos ? path : path.substr(at + 1);
}

void add_pair(std::vector<Stored>& out, const std::string& module, const at::Tensor& a, const at::Tensor& b) {
  out.push_back({kPrefix + module + ".lora_A.weight", a.contiguous()});
  out.push_back({kPrefix + module + ".lora_B.weight", b.contiguous()});
}

// The names that transformers 5 gives the modules of a file with stacked experts; else the older ones, which it reads too.
std::vector<Stored> tensors_of(const std::vector<LoraTarget>& targets, nn::ParameterStore& store) {
  const bool newer = has_fused(targets);
  std::vector<Stored> out;
  for (const LoraTarget& target : targets) {
    const at::Tensor a = store.at(target.a()).value.detach(), b = store.at(target.b()).value.detach();
    if (target.is_fused()) {
      const std::string experts = target.experts_module();
      const bool both = std::ranges::count_if(targets, [&](const LoraTarget& other) { return other.is_fused() && other.modules[0].starts_with(experts + "."); }) == 2;
      // PEFT wraps gate_up_proj first where both are adapted.
      const bool inner = both && target.modules[0].ends_with(".gate_up_proj");
      add_pair(out, experts + (inner ? ".base_layer" : ""), a.reshape({-1, target.in}), b.permute({1, 2, 0}).reshape({target.out, -1}));
    } else if (target.experts > 0) {
      for (std::size_t e = 0; e < target.modules.size(); ++e) add_pair(out, target.modules[e], a[static_cast<std::int64_t>(e)], b[static_cast<std::int64_t>(e)]);
    } else {
      add_pair(out, newer ? models::newer_path(target.modules[0]) : target.modules[0], a, b);
    }
  }
  return out;
}

// The ends of the modules' paths where these mean no other module of the model, else the whole paths.
std::vector<std::string> target_modules(const std::vector<LoraTarget>& targets, const std::vector<models::TensorSpec>& table) {
  const bool newer = has_fused(targets);
  std::set<std::string> chosen, ends;
  for (const LoraTarget& target : targets) {
    if (target.is_fused() || (newer && is_router(target))) continue;
    for (const std::string& module : target.modules) {
      chosen.insert(newer ? models::newer_path(module) : module);
      ends.insert(last_parts(module, 1));
    }
  }
  bool exact = true;
  for (const LoraTarget& possible : models::possible_targets(table, newer ? ExpertForm::kFused : ExpertForm::kSplit)) {
    for (const std::string& module : possible.modules) exact = exact && (!ends.contains(last_parts(module, 1)) || chosen.contains(newer ? models::newer_path(module) : module));
  }
  const auto& names = exact ? ends : chosen;
  return {names.begin(), names.end()};
}

OrderedJson target_parameters(const std::vector<LoraTarget>& targets) {
  if (!has_fused(targets)) return nullptr;
  std::set<std::string> out;
  for (const LoraTarget& target : targets) {
    if (target.is_fused()) out.insert(last_parts(target.modules[0], 2));
    else if (is_router(target)) out.insert(last_parts(target.modules[0], 1) + ".weight");
  }
  return out;
}

double alpha_of(const LoraTarget& target, const AdapterNote& note) {
  const auto rank = static_cast<double>(target.rank);
  return target.scale * (note.use_rslora ? std::sqrt(rank) : rank);
}

std::optional<double> different(double value, double common) { return std::abs(value - common) < 1e-9 * common ? std::nullopt : std::optional(value); }

// PEFT's patterns: what a module has that is not as the adapter's own setting.
OrderedJson patterns(const std::vector<LoraTarget>& targets, const std::function<std::optional<double>(const LoraTarget&)>& own) {
  OrderedJson out = OrderedJson::object();
  for (const LoraTarget& target : targets) {
    const auto value = own(target);
    if (!value) continue;
    for (const std::string& module : target.modules) out[has_fused(targets) ? models::newer_path(module) : module] = *value == std::floor(*value) ? OrderedJson(static_cast<std::int64_t>(*value)) : OrderedJson(*value);
  }
  return out;
}

// PEFT has dropout on modules alone; on transformers 5 experts and routers are parameters, and it refuses the adapter otherwise. It does
// nothing outside training.
bool dropout_is_allowed(const std::vector<LoraTarget>& targets) {
  return std::ranges::none_of(targets, [](const LoraTarget& target) { return target.experts > 0 || is_router(target); });
}

}  // namespace

void write_adapter(const fs::path& folder, const std::vector<LoraTarget>& targets, const AdapterNote& note, const std::vector<models::TensorSpec>& table,
                   nn::ParameterStore& store) {
  const std::vector<Stored> tensors = tensors_of(targets, store);
  std::vector<TensorSpec> specs;
  for (const Stored& stored : tensors) specs.push_back({stored.name, DType::kF32, stored.tensor.sizes().vec()});
  const auto source = [&](std::size_t i) { return std::span<const std::byte>(bytes_of(tensors[i].tensor)); };
  write_safetensors(folder / kAdapterWeights, specs, source, {{"format", "pt"}}, SafetensorsWriter::Checksums::kNone, nullptr);
  const OrderedJson config{{"peft_type", "LORA"},
                           {"task_type", "CAUSAL_LM"},
                           {"base_model_name_or_path", note.base_model.empty() ? OrderedJson(nullptr) : OrderedJson(note.base_model)},
                           {"r", static_cast<std::int64_t>(note.rank)},
                           {"lora_alpha", note.alpha},
                           {"lora_dropout", dropout_is_allowed(targets) ? note.dropout : 0.0},
                           {"use_rslora", note.use_rslora},
                           {"target_modules", target_modules(targets, table)},
                           {"target_parameters", target_parameters(targets)},
                           {"fan_in_fan_out", note.transposed},
                           {"bias", "none"},
                           {"modules_to_save", nullptr},
                           {"rank_pattern", patterns(targets, [&](const LoraTarget& t) { return different(static_cast<double>(t.rank), note.rank); })},
                           {"alpha_pattern", patterns(targets, [&](const LoraTarget& t) { return different(alpha_of(t, note), note.alpha); })},
                           {"init_lora_weights", true},
                           {"inference_mode", true}};
  write_file_atomic(folder / kAdapterConfig, config.dump(2) + "\n");
}

std::string adapter_readers(const std::vector<LoraTarget>& targets) {
  if (has_fused(targets)) return "stacked experts: PEFT 0.17 or newer with transformers 5 reads it";
  const bool experts = std::ranges::any_of(targets, [](const LoraTarget& target) { return target.experts > 0; });
  return experts ? "experts one by one: PEFT with transformers 4 reads it, and with transformers 5 a PEFT that stacks them when it loads (0.21 does)" : "any PEFT reads it";
}

}  // namespace sluice::checkpoint
