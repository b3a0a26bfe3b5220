#include "sluice/checkpoint/megatron_rank_files.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/checkpoint/strict_json.h"
#include "sluice/checkpoint/torch_save.h"

namespace sluice::checkpoint {
namespace {

const char* const kRemedy =
    "give an iteration's folder of a checkpoint that Megatron-Core wrote with --ckpt-format torch, with all of its mp_rank_* folders";
constexpr std::string_view kFolder = "mp_rank_", kLayers = "decoder.layers.";

// The number at the start of `text`, which is cut off; nothing when there is none.
std::optional<int> take_number(std::string_view& text) {
  int number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

// "mp_rank_00_001" -> 0, 1; nothing for another name.
std::optional<std::vector<int>> rank_numbers(std::string_view name) {
  if (!name.starts_with(kFolder)) return std::nullopt;
  name.remove_prefix(kFolder.size());
  std::vector<int> numbers;
  while (true) {
    const auto number = take_number(name);
    if (!number || numbers.size() == 3) return std::nullopt;
    numbers.push_back(*number);
    if (name.empty()) return numbers;
    if (name.front() != '_') return std::nullopt;
    name.remove_prefix(1);
  }
}

// A size of the saved arguments (an argparse.Namespace); nothing when it is not among them.
std::optional<std::int64_t> argument(const PickleValue& root, std::string_view name) {
  const PickleValue* arguments = root.find("args");
  const PickleValue* value = arguments && arguments->state ? arguments->state->find(name) : nullptr;
  if (!value || !value->is(PickleValue::Kind::kInt)) return std::nullopt;
  return value->integer;
}

// A name taken apart: PREFIX layer REST, with the number of an expert where REST ends or goes on with one.
struct Parts {
  std::string front;  // up to the layer's number, or all
  std::optional<int> layer;
  std::string middle;  // up to the expert's number
  std::optional<int> expert;
  std::string back;
};

Parts take_apart(std::string_view name) {
  Parts parts;
  if (!name.starts_with(kLayers)) return {std::string(name), {}, {}, {}, {}};
  std::string_view rest = name.substr(kLayers.size());
  parts.front = kLayers;
  parts.layer = take_number(rest);
  if (!parts.layer) return {std::string(name), {}, {}, {}, {}};
  for (const std::string_view stem : {".mlp.experts.linear_fc1.weight", ".mlp.experts.linear_fc2.weight", ".mlp.experts.local_experts."}) {
    if (!rest.starts_with(stem)) continue;
    std::string_view after = rest.substr(stem.size());
    parts.expert = take_number(after);
    if (!parts.expert) break;
    parts.middle = stem;
    parts.back = after;
    return parts;
  }
  parts.middle = rest;
  return parts;
}

// How many layers or experts a state dict numbers: the highest number and one.
struct Counts {
  int layers = 0, experts = 0;
  bool operator==(const Counts&) const = default;
};

Counts count(const PickleValue& chunk) {
  Counts counts;
  for (std::size_t i = 0; i < chunk.items.size(); i += 2) {
    const Parts parts = take_apart(chunk.items[i]->text);
    counts.layers = std::max(counts.layers, parts.layer.value_or(-1) + 1);
    counts.experts = std::max(counts.experts, parts.expert.value_or(-1) + 1);
  }
  return counts;
}

// The first layer of each (virtual stage, stage).
std::map<std::pair<std::size_t, int>, int> first_layers(const std::vector<MegatronRank>& ranks) {
  std::map<std::pair<std::size_t, int>, Counts> counts;
  for (const MegatronRank& rank : ranks) {
    for (std::size_t chunk = 0; chunk < rank.chunks.size(); ++chunk) {
      const Counts here = count(*rank.chunks[chunk]);
      const auto [entry, fresh] = counts.emplace(std::pair(chunk, rank.pipeline), here);
      if (!fresh && entry->second != here) {
        throw Error(rank.where + " holds " + std::to_string(here.layers) + " layers of " + std::to_string(here.experts) +
                        " experts, another rank of its stage " + std::to_string(entry->second.layers) + " of " +
                        std::to_string(entry->second.experts),
                    kRemedy);
      }
    }
  }
  std::map<std::pair<std::size_t, int>, int> first;
  int next = 0;
  for (const auto& [stage, count] : counts) {
    first[stage] = next;
    next += count.layers;
  }
  return first;
}

}  // namespace

std::vector<MegatronRankPath> find_megatron_ranks(const fs::path& folder) {
  std::vector<MegatronRankPath> found;
  std::error_code unreachable;
  for (fs::directory_iterator entry(folder, unreachable); !unreachable && entry != fs::directory_iterator(); entry.increment(unreachable)) {
    const auto numbers = rank_numbers(entry->path().filename().string());
    if (!numbers) continue;
    for (const char* name : {"model_optim_rng.pt", "model_rng.pt"}) {
      std::error_code absent;
      if (!fs::exists(entry->path() / name, absent)) continue;
      found.push_back({entry->path() / name, *numbers});
      break;
    }
  }
  if (unreachable) throw Error("cannot read the folder " + folder.string() + ": " + unreachable.message(), kRemedy);
  if (found.empty()) throw Error(folder.string() + " holds no mp_rank_*/model_optim_rng.pt", kRemedy);
  std::ranges::sort(found, {}, &MegatronRankPath::numbers);
  for (const MegatronRankPath& path : found) {
    if (path.numbers.size() != found.front().numbers.size())
      throw Error(path.file.string() + " is numbered in another way than " + found.front().file.string(), kRemedy);
  }
  return found;
}

MegatronRank describe_megatron_rank(const MegatronRankPath& path, const PickleValue& root) {
  MegatronRank rank;
  rank.where = path.file.string();
  rank.tensor = path.numbers[0];
  // With one number more it depends on the arguments whose it is: pipeline ranks are numbered only where there are several.
  const bool only_experts =
      argument(root, "pipeline_model_parallel_size") == 1 && argument(root, "expert_model_parallel_size").value_or(1) > 1;
  if (path.numbers.size() == 3) {
    rank.pipeline = path.numbers[1];
    rank.expert = path.numbers[2];
  } else if (path.numbers.size() == 2) {
    (only_experts ? rank.expert : rank.pipeline) = path.numbers[1];
  }
  if (const PickleValue* model = root.find("model")) {
    rank.chunks.push_back(model);
  } else {
    while (const PickleValue* chunk = root.find("model" + std::to_string(rank.chunks.size()))) rank.chunks.push_back(chunk);
  }
  for (const PickleValue* chunk : rank.chunks) {
    if (!chunk->is(PickleValue::Kind::kDict))
      throw Error(rank.where + ": the model is " + describe(*chunk) + ", not a state dict", kRemedy);
  }
  if (rank.chunks.empty()) throw Error(rank.where + " holds no model, but " + describe(root), kRemedy);
  return rank;
}

std::vector<MegatronRankTensor> name_megatron_tensors(const std::vector<MegatronRank>& ranks) {
  const auto first = first_layers(ranks);
  std::vector<MegatronRankTensor> tensors;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    for (std::size_t c = 0; c < ranks[r].chunks.size(); ++c) {
      const PickleValue& chunk = *ranks[r].chunks[c];
      const int experts = count(chunk).experts;
      for (std::size_t i = 0; i < chunk.items.size(); i += 2) {
        if (!chunk.items[i]->is(PickleValue::Kind::kString) || !TorchArchive::is_tensor(*chunk.items[i + 1])) continue;
        const Parts parts = take_apart(chunk.items[i]->text);
        if (parts.middle.ends_with("_extra_state")) continue;  // TransformerEngine's, of FP8
        std::string name = parts.front;
        if (parts.layer) name += std::to_string(first.at({c, ranks[r].pipeline}) + *parts.layer);
        name += parts.middle;
        if (parts.expert) name += std::to_string(ranks[r].expert * experts + *parts.expert) + parts.back;
        tensors.push_back({std::move(name), r, chunk.items[i + 1]});
      }
    }
  }
  return tensors;
}

}  // namespace sluice::checkpoint
