#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "sluice/base/json.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/checkpoint/adapter_names.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/safetensors_writer.h"

namespace sluice::checkpoint {
namespace {

using models::LoraTarget;

constexpr const char* kPrefix = "base_model.model.";

struct Stored {
  std::string name;
  at::Tensor tensor;  // contiguous float32
};

void add_pair(std::vector<Stored>& out, const std::string& module, const at::Tensor& a, const at::Tensor& b) {
  out.push_back({kPrefix + module + ".lora_A.weight", a.contiguous()});
  out.push_back({kPrefix + module + ".lora_B.weight", b.contiguous()});
}

std::vector<Stored> tensors_of(const std::vector<LoraTarget>& targets, const AdapterNames& names, const AdapterValues& values) {
  std::vector<Stored> out;
  for (const LoraTarget& target : targets) {
    const at::Tensor &a = values.at(target.a()), &b = values.at(target.b());
    if (target.is_fused()) {
      add_pair(out, target.experts_module() + (names.is_inner(target) ? ".base_layer" : ""), a.reshape({-1, target.in}), b.permute({1, 2, 0}).reshape({target.out, -1}));
    } else if (target.experts > 0) {
      for (std::size_t e = 0; e < target.modules.size(); ++e) add_pair(out, target.modules[e], a[static_cast<std::int64_t>(e)], b[static_cast<std::int64_t>(e)]);
    } else {
      add_pair(out, names.path(target.modules[0]), a, b);
    }
  }
  return out;
}

OrderedJson target_parameters(const AdapterNames& names) {
  const auto parameters = names.target_parameters();
  return parameters.empty() ? OrderedJson(nullptr) : OrderedJson(parameters);
}

// As the file says it. PEFT on transformers 5 takes the adapters of an expert's gate and up for one of twice the rank and twice the alpha:
// the same scale by alpha / rank, and not by alpha / sqrt(rank); and it gives all experts the file's own rank and alpha.
AdapterNote as_stated(AdapterNote note, const std::vector<LoraTarget>& targets, const AdapterNames& names) {
  if (!names.has_split_experts()) return note;
  const auto expert = std::ranges::find_if(targets, [](const LoraTarget& target) { return target.experts > 0 && !target.is_fused(); });
  note.rank = static_cast<double>(expert->rank);
  note.alpha = expert->scale * note.rank;
  note.use_rslora = false;
  return note;
}

double alpha_of(const LoraTarget& target, const AdapterNote& note) {
  const auto rank = static_cast<double>(target.rank);
  return target.scale * (note.use_rslora ? std::sqrt(rank) : rank);
}

std::optional<double> different(double value, double common) { return std::abs(value - common) < 1e-9 * common ? std::nullopt : std::optional(value); }

// PEFT's patterns: what a module has that is not as the adapter's own setting.
OrderedJson patterns(const std::vector<LoraTarget>& targets, const AdapterNames& names, const std::function<std::optional<double>(const LoraTarget&)>& own) {
  OrderedJson out = OrderedJson::object();
  for (const LoraTarget& target : targets) {
    const auto value = own(target);
    if (!value) continue;
    for (const std::string& module : target.modules) out[names.pattern(target, module)] = *value == std::floor(*value) ? OrderedJson(static_cast<std::int64_t>(*value)) : OrderedJson(*value);
  }
  return out;
}

// PEFT has dropout on modules alone, and refuses an adapter that has it on parameters, as experts are on transformers 5. It does nothing
// outside training.
bool dropout_is_allowed(const std::vector<LoraTarget>& targets, const AdapterNames& names) {
  return std::ranges::none_of(targets, [&](const LoraTarget& target) { return target.experts > 0 || target.parameter.ends_with(".router.weight") || names.is_parameter(target); });
}

}  // namespace

void write_adapter(const fs::path& folder, const std::vector<LoraTarget>& targets, const AdapterNote& given, const std::vector<models::TensorSpec>& table,
                   const AdapterValues& values) {
  const AdapterNames names(targets, table, given.architecture);
  const AdapterNote note = as_stated(given, targets, names);
  const std::vector<Stored> tensors = tensors_of(targets, names, values);
  std::vector<TensorSpec> specs;
  for (const Stored& stored : tensors) specs.push_back({stored.name, DType::kF32, stored.tensor.sizes().vec()});
  const auto source = [&](std::size_t i) { return std::span<const std::byte>(bytes_of(tensors[i].tensor)); };
  write_safetensors(folder / kAdapterWeights, specs, source, {{"format", "pt"}}, SafetensorsWriter::Checksums::kNone, nullptr);
  const OrderedJson config{{"peft_type", "LORA"},
                           {"task_type", "CAUSAL_LM"},
                           {"base_model_name_or_path", note.base_model.empty() ? OrderedJson(nullptr) : OrderedJson(note.base_model)},
                           {"r", static_cast<std::int64_t>(note.rank)},
                           {"lora_alpha", note.alpha},
                           {"lora_dropout", dropout_is_allowed(targets, names) ? note.dropout : 0.0},
                           {"use_rslora", note.use_rslora},
                           {"target_modules", names.target_modules()},
                           {"target_parameters", target_parameters(names)},
                           {"fan_in_fan_out", note.transposed},
                           {"bias", "none"},
                           {"modules_to_save", nullptr},
                           {"rank_pattern", patterns(targets, names, [&](const LoraTarget& t) { return different(static_cast<double>(t.rank), note.rank); })},
                           {"alpha_pattern", patterns(targets, names, [&](const LoraTarget& t) { return different(alpha_of(t, note), note.alpha); })},
                           {"init_lora_weights", true},
                           {"inference_mode", true}};
  write_file_atomic(folder / kAdapterConfig, config.dump(2) + "\n");
}

}  // namespace sluice::checkpoint
