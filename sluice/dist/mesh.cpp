#include "sluice/dist/mesh.h"

#include <ATen/ATen.h>

#include <numeric>

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

Mesh single_process_mesh() {
  Mesh mesh;
  mesh.observers = std::make_shared<Observers>();
  mesh.world = self_group();
  mesh.make_group = [](const std::string&, const std::vector<std::int64_t>&) { return self_group(); };
  lay_out(mesh, {});
  return mesh;
}

Mesh make_mesh(std::shared_ptr<const Meeting> meeting, const Rendezvous& rendezvous, std::chrono::seconds patience) {
  Mesh mesh;
  mesh.rank = rendezvous.rank;
  mesh.watch = std::make_shared<Watch>(rendezvous, WatchTimes{}, [&](const std::string& text) { return meeting->from_rank0("watch", text); });
  mesh.observers = meeting->observers();
  mesh.observers->watch = mesh.watch.get();
  mesh.make_group = [meeting = std::move(meeting), patience](const std::string& name, const std::vector<std::int64_t>& ranks) { return meeting->group(name, ranks, patience); };
  std::vector<std::int64_t> everybody(static_cast<std::size_t>(rendezvous.world));
  std::iota(everybody.begin(), everybody.end(), 0);
  mesh.world = mesh.make_group("world", everybody);
  return mesh;
}

namespace {

void make_groups(Mesh& mesh, const std::string& suffix) {
  const auto along = [&](const char* name, Axis axis) { return mesh.make_group(name + suffix, ranks_along(mesh.sizes, mesh.rank, axis)); };
  mesh.tensor = along("tensor", Axis::kTensor);
  mesh.context = along("context", Axis::kContext);
  mesh.replica = along("replica", Axis::kReplica);
  mesh.rows = along("rows", Axis::kRows);
  mesh.stage = along("stage", Axis::kStage);
  mesh.pipeline = along("pipeline", Axis::kPipeline);
  mesh.experts = along("experts", Axis::kExperts);
}

}  // namespace

void lay_out(Mesh& mesh, const GridSizes& sizes) {
  SLUICE_CHECK(sizes.world() == mesh.world->size(), std::to_string(sizes.world()) + " ranks in the grid, " + std::to_string(mesh.world->size()) + " in the run");
  mesh.sizes = sizes;
  mesh.place = place_of(sizes, mesh.rank);
  make_groups(mesh, "");
}

Mesh once_more(const Mesh& mesh, const std::string& suffix) {
  Mesh out;
  out.rank = mesh.rank;
  out.make_group = mesh.make_group;
  out.sizes = mesh.sizes;
  out.place = mesh.place;
  out.observers = mesh.observers;
  make_groups(out, suffix);
  return out;
}

}  // namespace sluice::dist
