#include "sluice/train/command.h"

#include <ATen/ATen.h>

namespace sluice::train {

void tell(const dist::Mesh& mesh, Command command, std::int64_t argument) {
  const at::Tensor order = at::tensor({static_cast<std::int64_t>(command), argument}, at::kLong);
  mesh.world->broadcast(order, 0);
}

Order hear(const dist::Mesh& mesh) {
  const at::Tensor order = at::zeros({2}, at::kLong);
  mesh.world->broadcast(order, 0);
  return {static_cast<Command>(order[0].item<std::int64_t>()), order[1].item<std::int64_t>()};
}

}  // namespace sluice::train
