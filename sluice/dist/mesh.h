// The groups that this process is in, one for each direction of the grid.
#pragma once
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "sluice/dist/gloo.h"
#include "sluice/dist/grid.h"
#include "sluice/dist/group.h"

namespace sluice::dist {

// Layouts differ only in what these groups are; code that holds a Mesh never asks how many processes there are.
struct Mesh {
  GridSizes sizes;
  std::int64_t rank = 0;
  Place place;
  std::unique_ptr<Group> world;
  std::unique_ptr<Group> replica;  // ranks with the same dense weights and other tokens

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

// This process is everybody.
Mesh single_process_mesh();

// Error when the ranks do not come, or `sizes` are not of `rendezvous.world` ranks.
Mesh make_mesh(const Meeting& meeting, const Rendezvous& rendezvous, const GridSizes& sizes, std::chrono::seconds patience);

}  // namespace sluice::dist
