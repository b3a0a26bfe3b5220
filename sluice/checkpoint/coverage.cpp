#include "sluice/checkpoint/coverage.h"

#include <algorithm>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/checkpoint/dtype.h"

namespace sluice::checkpoint {
namespace {

const char* const kRemedy =
    "not all of the checkpoint's files are here, or files of another one are: copy it again, or resume from an earlier one";

// Which elements no box holds: the first few ranges, in words.
std::string missing_ranges(const std::vector<std::int64_t>& shape, const std::vector<LocatedBox>& boxes) {
  constexpr std::size_t kMaxPieces = 1000, kMaxShown = 3;
  std::vector<Box> missing = {whole(shape)};
  for (const LocatedBox& held : boxes) {
    std::vector<Box> rest;
    for (const Box& piece : missing) {
      for (Box& left : subtract(piece, held.box)) rest.push_back(std::move(left));
    }
    missing = std::move(rest);
    if (missing.size() > kMaxPieces) return "scattered over it";
  }
  std::string text;
  for (std::size_t i = 0; i < std::min(missing.size(), kMaxShown); ++i) text += (i ? ", " : "") + to_string(missing[i]);
  return text + (missing.size() > kMaxShown ? " and " + std::to_string(missing.size() - kMaxShown) + " more ranges" : "");
}

}  // namespace

void check_coverage(const std::string& what, const std::vector<std::int64_t>& shape, std::vector<LocatedBox> boxes) {
  const std::uint64_t wanted = num_elements(whole(shape));
  // Boxes in the order of their first dim: only those that begin before this one ends can share elements with it.
  if (!shape.empty()) std::ranges::sort(boxes, {}, [](const LocatedBox& located) { return located.box.offsets[0]; });
  std::uint64_t held = 0;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const Box& box = boxes[i].box;
    for (std::size_t j = i + 1; j < boxes.size() && (shape.empty() || boxes[j].box.offsets[0] < box.offsets[0] + box.lengths[0]); ++j) {
      if (const auto shared = intersect(box, boxes[j].box)) {
        throw Error(what + " holds the elements " + to_string(*shared) + " twice: in " + boxes[i].where + " and in " + boxes[j].where,
                    kRemedy);
      }
    }
    held += num_elements(box);
  }
  // No two boxes share an element and none sticks out, so that equal counts mean a complete tensor.
  if (held == wanted) return;
  throw Error(what + " lacks " + std::to_string(wanted - held) + " of its " + std::to_string(wanted) +
                  " elements: " + missing_ranges(shape, boxes) + " of shape " + shape_text(shape),
              kRemedy);
}

}  // namespace sluice::checkpoint
