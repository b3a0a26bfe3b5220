// A group of processes and what they do together. One process is a valid group: every operation is then the identity.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace sluice::dist {

enum class Reduce { kSum, kMax };

// An operation that is under way: its tensors may be read and changed again after wait().
class Pending {
 public:
  virtual ~Pending() = default;
  virtual void wait() = 0;  // Error as the operation itself
};

// Collectives over the ranks of one mesh axis, on contiguous tensors. Calls are in the same order on every rank of the group. Error, naming the
// operation, where a rank is gone or does not answer.
class Group {
 public:
  virtual ~Group() = default;
  virtual std::int64_t rank() const = 0;  // in the group
  virtual std::int64_t size() const = 0;
  bool alone() const { return size() == 1; }

  virtual std::unique_ptr<Pending> start_all_reduce(at::Tensor tensor, Reduce reduce) const = 0;  // in place
  // out [size * n] holds every rank's in [n], in the order of ranks.
  virtual std::unique_ptr<Pending> start_all_gather(at::Tensor out, const at::Tensor& in) const = 0;
  // out [n] is this rank's part of the sum of in [size * n].
  virtual std::unique_ptr<Pending> start_reduce_scatter(at::Tensor out, const at::Tensor& in) const = 0;
  // Rows of `in`, first those for rank 0, come out ordered by the rank that sent them: sent[r] rows go to rank r, received[r] come from it.
  struct Rows {
    std::vector<std::int64_t> sent, received;
  };
  virtual std::unique_ptr<Pending> start_all_to_all(at::Tensor out, const at::Tensor& in, const Rows& rows) const = 0;
  virtual std::unique_ptr<Pending> start_send(const at::Tensor& tensor, std::int64_t to) const = 0;
  virtual std::unique_ptr<Pending> start_receive(at::Tensor tensor, std::int64_t from) const = 0;
  virtual void broadcast(at::Tensor tensor, std::int64_t from) const = 0;  // in place
  virtual void barrier() const = 0;

  void all_reduce(const at::Tensor& tensor, Reduce reduce) const { start_all_reduce(tensor, reduce)->wait(); }
  // Rows that the other ranks send, as `rows` says, below one another.
  at::Tensor all_to_all(const at::Tensor& in, const Rows& rows) const;
  double sum(double value) const;  // over the ranks, in float64
  double max(double value) const;
};

// The group of this process alone.
std::unique_ptr<Group> self_group();

}  // namespace sluice::dist
