// Groups over c10d's Gloo backend: the only code that touches torch's process groups.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "sluice/dist/group.h"
#include "sluice/dist/rendezvous.h"

namespace sluice::dist {

struct Observers;

// Where the ranks of a run meet, and make groups of some of them.
class Meeting {
 public:
  // Error when not all ranks come within `patience`, naming the address.
  Meeting(const Rendezvous& rendezvous, std::chrono::seconds patience);
  ~Meeting();

  // The group of `ranks`, this one among them, which make it at the same time; `name` tells it from other groups of the same ranks. Operations fail
  // that take longer than `patience`.
  std::unique_ptr<Group> group(const std::string& name, const std::vector<std::int64_t>& ranks, std::chrono::seconds patience) const;

  // The text that rank 0 gives under this name, on every rank that asks for it.
  std::string from_rank0(const std::string& name, const std::string& text) const;

  // What sees every exchange of every group made here.
  const std::shared_ptr<Observers>& observers() const { return observers_; }

 private:
  struct Store;
  std::unique_ptr<Store> store_;
  Rendezvous rendezvous_;
  std::shared_ptr<Observers> observers_;
};

}  // namespace sluice::dist
