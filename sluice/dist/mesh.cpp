#include "sluice/dist/mesh.h"

#include <ATen/ATen.h>

#include "sluice/base/error.h"

namespace sluice::dist {

std::string Mesh::from_leader(const std::string& text) const {
  if (world->alone()) return text;
  const at::Tensor size = at::full({1}, static_cast<std::int64_t>(text.size()), at::kLong);
  world->broadcast(size, 0);
  at::Tensor bytes = at::empty({size.item<std::int64_t>()}, at::kByte);
  if (leads()) std::copy(text.begin(), text.end(), bytes.data_ptr<std::uint8_t>());
  if (bytes.numel() > 0) world->broadcast(bytes, 0);
  return {reinterpret_cast<const char*>(bytes.const_data_ptr<std::uint8_t>()), static_cast<std::size_t>(bytes.numel())};
}

bool Mesh::any(bool here) const {
  at::Tensor all = at::full({1}, here ? 1 : 0, at::kFloat);
  world->all_reduce(all, Reduce::kMax);
  return all.item<float>() > 0;
}

void rethrow(const Mesh& mesh, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    if (mesh.leads()) throw;
    throw Error("rank " + std::to_string(mesh.rank) + ": " + error.problem(), error.remedy());
  }
}

Mesh single_process_mesh() { return {{}, 0, {}, self_group(), self_group()}; }

Mesh make_mesh(const Meeting& meeting, const Rendezvous& rendezvous, const GridSizes& sizes, std::chrono::seconds patience) {
  SLUICE_CHECK(sizes.world() == rendezvous.world, std::to_string(sizes.world()) + " ranks in the grid, " + std::to_string(rendezvous.world) + " in the run");
  const auto along = [&](const char* name, Axis axis) { return meeting.group(name, ranks_along(sizes, rendezvous.rank, axis), patience); };
  return {sizes, rendezvous.rank, place_of(sizes, rendezvous.rank), along("world", Axis::kWorld), along("replica", Axis::kReplica)};
}

}  // namespace sluice::dist
