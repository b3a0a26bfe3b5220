#include "sluice/train/replicas.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "sluice/dist/agreement.h"
#include "sluice/dist/process.h"

namespace sluice::train {
namespace {

using Run = nn::ParameterStore::Run;

// By key of their run: one number for all parameters of a unit that have the same holders.
std::map<std::int64_t, std::uint64_t> checksums(const parallel::Holders& holders, const nn::ParameterStore& store) {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15;  // so that the order counts
  std::map<std::int64_t, std::uint64_t> out;
  for (const nn::Parameter& p : store.all()) {
    const bool one_holder = p.trainable() && holders.zero() == parallel::Zero::kParameters;
    if (p.spec.is_elsewhere() || one_holder) continue;
    std::uint64_t& number = out[holders.placement(p.spec).key];
    number = number * kOdd + dist::checksum(p.value.detach());
    const bool has_master = p.master.defined() && !p.master.is_alias_of(p.value);
    if (has_master && holders.zero() == parallel::Zero::kNone) number = number * kOdd + dist::checksum(p.master);
  }
  return out;
}

std::string name_of(std::int64_t key) {
  const std::int64_t unit = parallel::Holders::unit_of(Run{key, 0, 0});
  return unit == 0 ? "what is in no layer" : "layers." + std::to_string(unit - 1);
}

// What each rank gives, in their order.
std::vector<std::string> all_of(const dist::Group& world, const std::string& text) {
  const auto longest = static_cast<std::int64_t>(world.max(static_cast<double>(text.size())));
  const at::Tensor own = at::zeros({longest + 1}, at::kByte), all = at::empty({world.size() * (longest + 1)}, at::kByte);  // each ends with a zero
  std::ranges::copy(text, own.data_ptr<std::uint8_t>());
  world.start_all_gather(all, own)->wait();
  std::vector<std::string> out;
  for (std::int64_t rank = 0; rank < world.size(); ++rank) out.emplace_back(reinterpret_cast<const char*>(all.const_data_ptr<std::uint8_t>()) + rank * (longest + 1));
  return out;
}

}  // namespace

std::string find_disagreement(const parallel::Holders& holders, const nn::ParameterStore& store) {
  const dist::Mesh& mesh = holders.mesh();
  if (mesh.world->alone()) return "";
  std::string differing;
  for (const auto& [key, number] : checksums(holders, store)) {
    const dist::Group& group = holders.group_of(Run{key, 0, 0});
    const auto ranks = dist::ranks_that_differ(group, number);
    const bool own = std::ranges::find(ranks, group.rank()) != ranks.end();
    const std::string name = name_of(key);
    if (own && !differing.ends_with(name)) differing += (differing.empty() ? "" : ", ") + name;
  }
  if (!mesh.any(!differing.empty())) return "";
  const std::string own = differing.empty() ? "" : "rank " + std::to_string(mesh.rank) + " (host " + dist::this_process().host + "): " + differing;
  std::string out;
  for (const std::string& told : all_of(*mesh.world, own)) {
    if (!told.empty()) out += (out.empty() ? "" : "; ") + told;
  }
  return out;
}

}  // namespace sluice::train
