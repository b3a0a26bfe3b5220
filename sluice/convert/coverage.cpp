#include "sluice/convert/coverage.h"

#include "sluice/base/error.h"
#include "sluice/checkpoint/dtype.h"

namespace sluice::convert {
namespace {

template <class Names>
std::string listed(const Names& names) {
  constexpr std::size_t kMost = 1000;  // of more the first say enough
  std::string out;
  std::size_t i = 0;
  for (const std::string& name : names) {
    if (i++ == kMost) return out + " and " + std::to_string(names.size() - kMost) + " more";
    out += (out.empty() ? "" : ", ") + name;
  }
  return out;
}

}  // namespace

void CoverageCheck::wrong_shape(const std::string& name, const std::vector<std::int64_t>& found, const std::vector<std::int64_t>& expected) {
  shapes_.push_back(name + " " + checkpoint::shape_text(found) + " where config.json asks for " + checkpoint::shape_text(expected));
}

void CoverageCheck::finish() const {
  Violations violations;
  const std::string remedy = "check that config.json belongs to these weights, and that the folder is whole";
  if (!missing_.empty()) violations.add(std::to_string(missing_.size()) + " tensors of the model are missing: " + listed(missing_), remedy);
  if (!unused_.empty()) violations.add(std::to_string(unused_.size()) + " tensors are none of the model's: " + listed(unused_), remedy);
  if (!shapes_.empty()) violations.add(std::to_string(shapes_.size()) + " tensors have another shape: " + listed(shapes_), remedy);
  violations.raise(folder_ + " does not hold the model that its config.json describes");
}

}  // namespace sluice::convert
