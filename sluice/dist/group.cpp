#include "sluice/dist/group.h"

namespace sluice::dist {
namespace {

class SelfGroup final : public Group {
 public:
  std::int64_t rank() const override { return 0; }
  std::int64_t size() const override { return 1; }
  void all_reduce(at::Tensor&, Reduce) const override {}
  void broadcast(at::Tensor&, std::int64_t) const override {}
  void barrier() const override {}
};

}  // namespace

std::unique_ptr<Group> self_group() { return std::make_unique<SelfGroup>(); }

}  // namespace sluice::dist
