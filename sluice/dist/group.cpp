#include "sluice/dist/group.h"

#include <ATen/ATen.h>

#include <numeric>

#include "sluice/base/error.h"

namespace sluice::dist {
namespace {

class Done final : public Pending {
 public:
  void wait() override {}
};

class SelfGroup final : public Group {
 public:
  std::int64_t rank() const override { return 0; }
  std::int64_t size() const override { return 1; }
  std::unique_ptr<Pending> start_all_reduce(at::Tensor, Reduce) const override { return std::make_unique<Done>(); }
  std::unique_ptr<Pending> start_all_gather(at::Tensor out, const at::Tensor& in) const override { return copied(out, in); }
  std::unique_ptr<Pending> start_reduce_scatter(at::Tensor out, const at::Tensor& in) const override { return copied(out, in); }
  std::unique_ptr<Pending> start_all_to_all(at::Tensor out, const at::Tensor& in, const Rows&) const override { return copied(out, in); }
  std::unique_ptr<Pending> start_send(const at::Tensor&, std::int64_t) const override { throw Bug("a process alone has nobody to send to"); }
  std::unique_ptr<Pending> start_receive(at::Tensor, std::int64_t) const override { throw Bug("a process alone has nobody to receive from"); }
  void broadcast(at::Tensor, std::int64_t) const override {}
  void barrier() const override {}

 private:
  static std::unique_ptr<Pending> copied(const at::Tensor& out, const at::Tensor& in) {
    if (!out.is_same(in)) out.copy_(in.view(out.sizes()));
    return std::make_unique<Done>();
  }
};

}  // namespace

at::Tensor Group::all_to_all(const at::Tensor& in, const Rows& rows) const {
  std::vector<std::int64_t> shape = in.sizes().vec();
  shape[0] = std::accumulate(rows.received.begin(), rows.received.end(), std::int64_t{0});
  const at::Tensor out = at::empty(shape, in.options().requires_grad(false));
  start_all_to_all(out, in.contiguous(), rows)->wait();
  return out;
}

double Group::sum(double value) const {
  const at::Tensor all = at::full({1}, value, at::kDouble);
  all_reduce(all, Reduce::kSum);
  return all.item<double>();
}

double Group::max(double value) const {
  const at::Tensor all = at::full({1}, value, at::kDouble);
  all_reduce(all, Reduce::kMax);
  return all.item<double>();
}

std::unique_ptr<Group> self_group() { return std::make_unique<SelfGroup>(); }

}  // namespace sluice::dist
