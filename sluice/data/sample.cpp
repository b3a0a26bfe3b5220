#include "sluice/data/sample.h"

namespace sluice::data {

std::int64_t target_tokens(const Sample& sample) {
  std::int64_t count = 0;
  for (std::size_t i = 1; i < sample.labels.size(); ++i) count += sample.labels[i] != kNotTrained;
  return count;
}

}  // namespace sluice::data
