// The groups that this process is in, one for each direction of the grid.
#pragma once
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sluice/dist/gloo.h"
#include "sluice/dist/grid.h"
#include "sluice/dist/group.h"
#include "sluice/dist/observers.h"

namespace sluice::dist {

// Layouts differ only in what these groups are; code that holds a Mesh never asks how many processes there are.
struct Mesh {
  std::int64_t rank = 0;
  std::unique_ptr<Group> world;
  // Makes the group of `ranks`, this one among them, at the same time on each.
  std::function<std::unique_ptr<Group>(const std::string& name, const std::vector<std::int64_t>& ranks)> make_group;

  // After lay_out(): the grid, this rank's place in it, and its groups (grid.h says what each axis is).
  GridSizes sizes;
  Place place;
  std::unique_ptr<Group> tensor, context, replica, rows, stage, pipeline, experts;

  // What sees the exchanges of all groups.
  std::shared_ptr<Observers> observers;
  // Ends the run where a rank is gone; null in one process. The last member, as it is to end before the groups.
  std::shared_ptr<Watch> watch;

  bool leads() const { return rank == 0; }  // the rank that writes and shows what is everybody's

  // What the leader holds, for everyone.
  std::string from_leader(const std::string& text) const;
  // Whether `here` is so on any rank.
  bool any(bool here) const;
};

// Thrown where another rank has ended the run and said why: this one ends without a word.
struct StoppedByAnotherRank {};

// Throws `failure` again; an Error of another rank than the leader says whose it is.
[[noreturn]] void rethrow(const Mesh& mesh, const std::exception_ptr& failure);

// What `work` gives here, once it has given something on every rank. Where it throws on the leader, the others end quietly; where it throws on
// others alone, they say why and the leader ends.
template <class Work>
auto together(const Mesh& mesh, const Work& work) -> decltype(work()) {
  std::optional<decltype(work())> result;
  std::exception_ptr failure;
  try {
    result.emplace(work());
  } catch (...) {
    failure = std::current_exception();
  }
  if (mesh.world->alone() && failure) rethrow(mesh, failure);
  const bool leader_failed = !mesh.from_leader(failure ? "failed" : "").empty();
  if (!mesh.any(failure != nullptr)) return std::move(*result);
  if (failure && (mesh.leads() || !leader_failed)) rethrow(mesh, failure);
  throw StoppedByAnotherRank{};
}

// This process is everybody; laid out.
Mesh single_process_mesh();

// All ranks together, not yet laid out. Error when they do not come.
Mesh make_mesh(std::shared_ptr<const Meeting> meeting, const Rendezvous& rendezvous, std::chrono::seconds patience);

// Makes the groups of a grid of as many ranks as the world has.
void lay_out(Mesh& mesh, const GridSizes& sizes);

// The groups of such a mesh once more, but for the world's, made at the same time on all its ranks: for exchanges that come in no certain order among
// those of the first. Their names end in `suffix`.
Mesh once_more(const Mesh& mesh, const std::string& suffix);

}  // namespace sluice::dist
