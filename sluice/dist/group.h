// A group of processes and what they do together. One process is a valid group: every operation is then the identity.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

namespace sluice::dist {

enum class Reduce { kSum, kMax };

// Collectives over the ranks of one mesh axis. Calls are in the same order on every rank of the group.
class Group {
 public:
  virtual ~Group() = default;
  virtual std::int64_t rank() const = 0;
  virtual std::int64_t size() const = 0;
  virtual void all_reduce(at::Tensor& tensor, Reduce reduce) const = 0;  // in place
  virtual void broadcast(at::Tensor& tensor, std::int64_t from) const = 0;  // in place
  virtual void barrier() const = 0;
};

// The group of this process alone.
std::unique_ptr<Group> self_group();

}  // namespace sluice::dist
