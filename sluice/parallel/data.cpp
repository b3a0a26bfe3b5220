#include "sluice/parallel/data.h"

#include <algorithm>
#include <charconv>

namespace sluice::parallel {
namespace {

constexpr std::int64_t kAlign = 64;  // elements of a cache line, as the store's

// "layers.12.x" -> 13; 0 for what is in no layer.
std::int64_t unit_of_name(const std::string& name) {
  constexpr std::string_view kPrefix = "layers.";
  std::int64_t layer = -1;
  if (name.starts_with(kPrefix)) std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return layer + 1;
}

bool same_part(const nn::ParameterSpec& a, const nn::ParameterSpec& b) { return a.part.whole == b.part.whole && a.part.pieces == b.part.pieces; }

// For each parameter of this rank the ranks that hold the same of it; of what is held elsewhere none.
std::vector<std::vector<std::int64_t>> find_holders(const dist::Mesh& mesh, const Holders::Held& held, const std::vector<nn::ParameterSpec>& own) {
  std::vector<std::vector<std::int64_t>> out(own.size());
  for (std::int64_t rank = 0; rank < mesh.sizes.world(); ++rank) {
    const std::vector<nn::ParameterSpec> theirs = held(dist::place_of(mesh.sizes, rank));
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (!own[i].is_elsewhere() && same_part(own[i], theirs[i])) out[i].push_back(rank);
    }
  }
  return out;
}

}  // namespace

Holders::Holders(const dist::Mesh& mesh, const Held& held, Zero zero) : mesh_(mesh), zero_(zero) {
  const std::vector<nn::ParameterSpec> own = held(mesh.place);
  const auto ranks = find_holders(mesh, held, own);
  std::vector<std::vector<std::int64_t>> sets;
  for (const auto& set : ranks) {
    if (!set.empty()) sets.push_back(set);
  }
  std::ranges::sort(sets);  // the same order on every rank, so that none waits for a group that another makes later
  sets.erase(std::unique(sets.begin(), sets.end()), sets.end());
  for (auto& set : sets) {
    std::string name = "holders";
    for (const std::int64_t rank : set) name += "-" + std::to_string(rank);
    auto group = mesh.make_group(name, set);
    sets_.push_back({std::move(set), std::move(group)});
  }
  std::int64_t turn = 0;
  for (std::size_t i = 0; i < own.size(); ++i) {
    saves_[own[i].name] = false;
    if (ranks[i].empty()) continue;
    set_of_[own[i].name] = static_cast<std::size_t>(std::ranges::find(sets_, ranks[i], &Set::ranks) - sets_.begin());
    saves_[own[i].name] = ranks[i][static_cast<std::size_t>(turn++) % ranks[i].size()] == mesh.rank;
  }
}

nn::ParameterStore::Placement Holders::placement(const nn::ParameterSpec& spec) const {
  if (mesh_.world->alone()) return {};
  const auto set = static_cast<std::int64_t>(set_of_.at(spec.name));
  const std::int64_t key = set * kUnits + 2 * unit_of_name(spec.name) + (spec.keep == nn::Keep::kComputePrecision ? 0 : 1);
  return {key, is_split({key, 0, 0}) ? kAlign * group_of({key, 0, 0}).size() : 1};
}

Holders::Run Holders::own_piece(const Run& run) const {
  if (!is_split(run)) return run;
  const dist::Group& group = group_of(run);
  const std::int64_t size = (run.end - run.begin) / group.size(), begin = run.begin + group.rank() * size;
  return {run.key, begin, begin + size};
}

}  // namespace sluice::parallel
