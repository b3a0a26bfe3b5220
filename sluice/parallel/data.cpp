#include "sluice/parallel/data.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <numeric>

namespace sluice::parallel {
namespace {

constexpr std::int64_t kAlign = 64;  // elements of a cache line, as the store's

bool same_part(const nn::ParameterSpec& a, const nn::ParameterSpec& b) { return a.part.whole == b.part.whole && a.part.pieces == b.part.pieces; }

// A part of a parameter, and the ranks that hold it.
struct HeldPart {
  nn::ParameterSpec spec;
  std::vector<std::int64_t> ranks;
};

// For each parameter its parts.
std::vector<std::vector<HeldPart>> find_parts(const dist::Mesh& mesh, const Holders::Held& held) {
  std::vector<std::vector<HeldPart>> out;
  for (std::int64_t rank = 0; rank < mesh.sizes.world(); ++rank) {
    const std::vector<nn::ParameterSpec> theirs = held(dist::place_of(mesh.sizes, rank));
    out.resize(theirs.size());
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      if (theirs[i].is_elsewhere()) continue;
      auto part = std::ranges::find_if(out[i], [&](const HeldPart& other) { return same_part(other.spec, theirs[i]); });
      if (part == out[i].end()) part = out[i].insert(part, {theirs[i], {}});
      part->ranks.push_back(rank);
    }
  }
  return out;
}

// Which of its holders saves each part, so that all ranks save about as much: the largest first, each by the one that has the least so far.
std::map<const HeldPart*, std::int64_t> share_out(const std::vector<std::vector<HeldPart>>& parameters, std::int64_t world) {
  const auto size = [](const HeldPart* part) { return std::accumulate(part->spec.shape.begin(), part->spec.shape.end(), std::int64_t{1}, std::multiplies()); };
  std::vector<const HeldPart*> parts;
  for (const auto& parameter : parameters) {
    for (const HeldPart& part : parameter) parts.push_back(&part);
  }
  std::ranges::stable_sort(parts, std::greater(), size);
  std::vector<std::int64_t> saved(static_cast<std::size_t>(world));
  std::map<const HeldPart*, std::int64_t> out;
  for (const HeldPart* part : parts) {
    const std::int64_t rank = *std::ranges::min_element(part->ranks, {}, [&](std::int64_t r) { return saved[static_cast<std::size_t>(r)]; });
    saved[static_cast<std::size_t>(rank)] += size(part);
    out[part] = rank;
  }
  return out;
}

}  // namespace

Holders::Holders(const dist::Mesh& mesh, const Held& held, Zero zero) : mesh_(mesh), zero_(zero) {
  const std::vector<nn::ParameterSpec> own = held(mesh.place);
  const auto parts = find_parts(mesh, held);
  std::vector<const HeldPart*> own_parts;  // null for what is held elsewhere
  std::vector<std::vector<std::int64_t>> sets;
  for (std::size_t i = 0; i < own.size(); ++i) {
    const auto part = std::ranges::find_if(parts[i], [&](const HeldPart& p) { return !own[i].is_elsewhere() && same_part(p.spec, own[i]); });
    own_parts.push_back(part == parts[i].end() ? nullptr : &*part);
    if (own_parts.back()) sets.push_back(part->ranks);
  }
  std::ranges::sort(sets);  // the same order on every rank, so that none waits for a group that another makes later
  sets.erase(std::unique(sets.begin(), sets.end()), sets.end());
  for (auto& set : sets) {
    std::string name = "holders";
    for (const std::int64_t rank : set) name += "-" + std::to_string(rank);
    auto group = mesh.make_group(name, set);
    sets_.push_back({std::move(set), std::move(group)});
  }
  const auto savers = share_out(parts, mesh.sizes.world());
  for (std::size_t i = 0; i < own.size(); ++i) {
    saves_[own[i].name] = own_parts[i] && savers.at(own_parts[i]) == mesh.rank;
    if (own_parts[i]) set_of_[own[i].name] = static_cast<std::size_t>(std::ranges::find(sets_, own_parts[i]->ranks, &Set::ranks) - sets_.begin());
  }
}

// "layers.12.x" -> 13
std::int64_t Holders::unit_of(const std::string& name) {
  constexpr std::string_view kPrefix = "layers.";
  std::int64_t layer = -1;
  if (name.starts_with(kPrefix)) std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return layer + 1;
}

nn::ParameterStore::Placement Holders::placement(const nn::ParameterSpec& spec) const {
  if (mesh_.world->alone()) return {};
  const auto set = static_cast<std::int64_t>(set_of_.at(spec.name));
  const std::int64_t key = set * kUnits + 2 * unit_of(spec.name) + (spec.keep == nn::Keep::kComputePrecision ? 0 : 1);
  return {key, is_split({key, 0, 0}) ? kAlign * group_of({key, 0, 0}).size() : 1};
}

Holders::Run Holders::own_piece(const Run& run) const {
  if (!is_split(run)) return run;
  const dist::Group& group = group_of(run);
  const std::int64_t size = (run.end - run.begin) / group.size(), begin = run.begin + group.rank() * size;
  return {run.key, begin, begin + size};
}

}  // namespace sluice::parallel
