#include "sluice/convert/part_box.h"

#include <utility>

#include "sluice/base/error.h"

namespace sluice::convert {

std::vector<std::int64_t> our_shape(const models::TensorSpec& spec, const models::HfPart& part) {
  if (spec.hf.size() == 1 && part.layout == models::HfLayout::kSame) return spec.parameter.shape;
  auto shape = part.shape;
  if (part.layout == models::HfLayout::kTransposed) std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return shape;
}

checkpoint::Box part_box(const models::TensorSpec& spec, const models::HfPart& part) {
  const auto& whole = spec.parameter.shape;
  const auto shape = our_shape(spec, part);
  if (shape.size() == whole.size() && part.offset == 0 && shape == whole) return checkpoint::whole(whole);
  SLUICE_CHECK(shape.size() <= whole.size(), part.name + " has more dims than its parameter " + spec.parameter.name);
  checkpoint::Box box{std::vector<std::int64_t>(whole.size(), 0), std::vector<std::int64_t>(whole.size(), 1)};
  std::int64_t rest = part.offset, stride = 1;
  const std::size_t added = whole.size() - shape.size();  // leading dims of which the part holds one index: the expert
  for (std::size_t d = added; d < whole.size(); ++d) box.lengths[d] = shape[d - added];
  for (std::size_t d = 1; d < whole.size(); ++d) stride *= whole[d];
  for (std::size_t d = 0; d < whole.size(); ++d) {
    box.offsets[d] = rest / stride;
    rest %= stride;
    if (d + 1 < whole.size()) stride /= whole[d + 1];
  }
  for (std::size_t d = added + 1; d < whole.size(); ++d) {
    SLUICE_CHECK(box.lengths[d] == whole[d] && box.offsets[d] == 0, part.name + " is no run of whole rows of " + spec.parameter.name);
  }
  return box;
}

}  // namespace sluice::convert
