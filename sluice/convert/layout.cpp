#include "sluice/convert/layout.h"

#include <algorithm>
#include <charconv>

namespace sluice::convert {
namespace {

using checkpoint::Box;
using checkpoint::TensorPart;
using models::Shard;
using models::TensorSpec;

constexpr std::uint64_t kShardBytes = 5'000'000'000;

struct Range {
  std::int64_t offset = 0, length = 0;
};
// The r-th of n nearly equal ranges.
Range cut(std::int64_t size, std::int64_t n, std::int64_t r) {
  const std::int64_t begin = size * r / n, end = size * (r + 1) / n;
  return {begin, end - begin};
}

// The dimension that tensor parallelism cuts; -1 = none.
std::int64_t tensor_dim(Shard shard) {
  switch (shard) {
    case Shard::kRows:
    case Shard::kVocabulary:
    case Shard::kKvRows:
    case Shard::kSegments: return 0;  // where a shard's rows lie does not matter to who gathers them
    case Shard::kColumns:
    case Shard::kExpertRows:
    case Shard::kExpertGateUp: return 1;
    case Shard::kExpertColumns: return 2;
    case Shard::kReplicated:
    case Shard::kOnce:
    case Shard::kExperts:
    case Shard::kExpertsOnce: break;
  }
  return -1;
}

// "layers.12.x" -> 12; -1 for what is in no layer.
std::int64_t layer_of(const std::string& name) {
  constexpr std::string_view kPrefix = "layers.";
  std::int64_t layer = -1;
  if (name.starts_with(kPrefix)) std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return layer;
}

std::int64_t count_layers(const std::vector<TensorSpec>& table) {
  std::int64_t layers = 0;
  for (const TensorSpec& spec : table) layers = std::max(layers, layer_of(spec.parameter.name) + 1);
  return layers;
}

std::int64_t count_experts(const std::vector<TensorSpec>& table) {
  for (const TensorSpec& spec : table) {
    if (holds_experts(spec.shard)) return spec.parameter.shape[0];
  }
  return 0;
}

// Which stage holds a parameter: layers in equal runs, the embedding before them, norm and head after.
std::int64_t stage_of(const TensorSpec& spec, std::int64_t layers, std::int64_t stages) {
  const std::int64_t layer = layer_of(spec.parameter.name);
  if (layer < 0) return spec.parameter.name.starts_with("embedding") ? 0 : stages - 1;
  std::int64_t stage = 0;
  while (cut(layers, stages, stage).offset + cut(layers, stages, stage).length <= layer) ++stage;
  return stage;
}

std::vector<std::vector<TensorPart>> plain(std::vector<TensorPart> parts, std::int64_t num_shards) {
  std::uint64_t total = 0;
  for (const TensorPart& part : parts) total += part.num_bytes();
  const auto wanted = num_shards > 0 ? static_cast<std::uint64_t>(num_shards) : (total + kShardBytes - 1) / kShardBytes;
  const std::uint64_t count = std::clamp<std::uint64_t>(wanted, 1, std::max<std::size_t>(1, parts.size()));
  std::vector<std::vector<TensorPart>> shards(count);
  std::uint64_t before = 0;
  for (TensorPart& part : parts) {
    const auto middle = static_cast<double>(before) + static_cast<double>(part.num_bytes()) / 2;
    before += part.num_bytes();
    const auto shard = static_cast<std::size_t>(middle / static_cast<double>(std::max<std::uint64_t>(1, total)) * static_cast<double>(count));
    shards[std::min<std::size_t>(shard, count - 1)].push_back(std::move(part));
  }
  return shards;
}

}  // namespace

void Layout::check(const std::vector<TensorSpec>& table, Violations& violations) const {
  const auto require = [&](const char* flag, std::int64_t value, std::int64_t most, const std::string& what) {
    if (value >= 1 && value <= std::max<std::int64_t>(1, most)) return;
    violations.add("--" + std::string(flag) + " " + std::to_string(value) + " is not from 1 to " + std::to_string(std::max<std::int64_t>(1, most)) + what, "give a number in that range");
  };
  require("tensor-model-parallel-size", tensor_parallel, 1024, "");
  require("pipeline-model-parallel-size", pipeline_parallel, count_layers(table), ", the model's layers");
  require("expert-model-parallel-size", expert_parallel, count_experts(table), ", the model's experts");
  if (num_shards < 0 || num_shards > 10000) violations.add("--shards " + std::to_string(num_shards) + " is not from 0 to 10000", "give a number in that range");
  if (num_shards > 0 && !is_plain()) violations.add("--shards has no effect beside parallel sizes", "give one or the other");
}

std::vector<std::vector<TensorPart>> shard_parts(const std::vector<TensorSpec>& table, const Layout& layout,
                                                 const std::function<checkpoint::DType(const TensorSpec&)>& dtype) {
  if (layout.is_plain()) {
    std::vector<TensorPart> parts;
    for (const TensorSpec& spec : table) parts.push_back({spec.parameter.name, dtype(spec), spec.parameter.shape, checkpoint::whole(spec.parameter.shape)});
    return plain(std::move(parts), layout.num_shards);
  }
  const auto [tp, pp, ep, unused] = layout;
  const std::int64_t layers = count_layers(table);
  std::vector<std::vector<TensorPart>> shards(static_cast<std::size_t>(tp * pp * ep));
  std::int64_t number = 0;  // spreads what experts do not cut over the expert ranks
  for (const TensorSpec& spec : table) {
    const std::int64_t dim = tensor_dim(spec.shard), stage = stage_of(spec, layers, pp), home = number++ % ep;
    for (std::int64_t e = 0; e < ep; ++e) {
      if (!holds_experts(spec.shard) && e != home) continue;
      for (std::int64_t t = 0; t < (dim < 0 ? 1 : tp); ++t) {
        Box box = checkpoint::whole(spec.parameter.shape);
        const auto narrow = [&](std::int64_t d, const Range& range) {
          box.offsets[static_cast<std::size_t>(d)] = range.offset;
          box.lengths[static_cast<std::size_t>(d)] = range.length;
        };
        if (holds_experts(spec.shard)) narrow(0, cut(spec.parameter.shape[0], ep, e));
        if (dim >= 0) narrow(dim, cut(spec.parameter.shape[static_cast<std::size_t>(dim)], tp, t));
        shards[static_cast<std::size_t>((stage * ep + e) * tp + t)].push_back({spec.parameter.name, dtype(spec), spec.parameter.shape, box});
      }
    }
  }
  return shards;
}

}  // namespace sluice::convert
