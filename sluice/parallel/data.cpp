#include "sluice/parallel/data.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace sluice::parallel {

constexpr std::int64_t kBucketElements = (std::int64_t{50} << 20) / 4;

void sum_gradients(nn::ParameterStore& store, const dist::Group& replicas) {
  const at::Tensor& grad = store.flat_grad();
  std::vector<std::unique_ptr<dist::Pending>> under_way;
  for (std::int64_t begin = 0; begin < grad.numel(); begin += kBucketElements) {
    const std::int64_t size = std::min(kBucketElements, grad.numel() - begin);
    under_way.push_back(replicas.start_all_reduce(grad.narrow(0, begin, size), dist::Reduce::kSum));
  }
  for (const auto& bucket : under_way) bucket->wait();
}

}  // namespace sluice::parallel
