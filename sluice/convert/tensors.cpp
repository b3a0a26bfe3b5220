#include <ATen/ATen.h>

#include "sluice/base/error.h"
#include "sluice/convert/part_box.h"
#include "sluice/convert/writers.h"

namespace sluice::convert {

using checkpoint::Box;
using checkpoint::DType;

DType Tensors::dtype(const Part& part) const {
  if (part.spec->parameter.keep == nn::Keep::kFloat32InFiles) return DType::kF32;
  return dtype_.value_or(source_.reader->dtype(part));
}

at::Tensor Tensors::read(const Part& part) {
  const at::Tensor stored = source_.reader->read(part), out = stored.to(checkpoint::to_torch(dtype(part))).contiguous();
  if (out.scalar_type() == at::kHalf && stored.scalar_type() != at::kHalf && !at::isfinite(out).all().item<bool>() && at::isfinite(stored).all().item<bool>()) {
    throw Error(part.hf->name + " has values beyond float16's range, 65504", "use --dtype bf16");
  }
  return out;
}

at::Tensor Tensors::read(const models::TensorSpec& spec, const Box& box) {
  const DType type = dtype(spec);
  at::Tensor out;
  for (const models::HfPart& part : spec.hf) {
    const Box of_part = part_box(spec, part);
    if (!checkpoint::intersect(of_part, box)) continue;
    at::Tensor values = read({&spec, &part});
    if (part.layout == models::HfLayout::kTransposed) values = values.transpose(-1, -2).contiguous();
    if (of_part == box) return values.view(box.lengths);
    if (!out.defined()) out = at::empty(box.lengths, checkpoint::to_torch(type));
    checkpoint::copy_shared(checkpoint::bytes_of(values), of_part, checkpoint::bytes_of(out), box, checkpoint::size_bytes(type));
  }
  return out.defined() ? out : at::empty(box.lengths, checkpoint::to_torch(type));
}

std::uint64_t num_bytes(const Tensors& tensors) {
  std::uint64_t total = 0;
  for (const models::TensorSpec& spec : tensors.source().table) {
    total += *checkpoint::tensor_bytes(tensors.dtype(spec), spec.parameter.shape) * (1 + spec.hf_copies.size());
  }
  return total;
}

}  // namespace sluice::convert
