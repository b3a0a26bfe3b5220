#include "sluice/data/batch.h"

#include <algorithm>

#include "sluice/base/error.h"

namespace sluice::data {

Batch make_batch(std::span<const Sample> samples, std::int64_t pad_id) {
  SLUICE_CHECK(!samples.empty(), "a batch needs a row");
  std::size_t longest = 0;
  for (const Sample& sample : samples) {
    SLUICE_CHECK(sample.labels.size() == sample.ids.size() && sample.real.size() == sample.ids.size(),
                 "a sample's ids, labels and real differ in length");
    longest = std::max(longest, sample.ids.size());
  }
  Batch batch;
  batch.rows = static_cast<std::int64_t>(samples.size());
  batch.seq = static_cast<std::int64_t>(longest);
  batch.ids.assign(samples.size() * longest, pad_id);
  batch.labels.assign(samples.size() * longest, kNotTrained);
  batch.real.assign(samples.size() * longest, 0);
  for (std::size_t row = 0; row < samples.size(); ++row) {
    const Sample& sample = samples[row];
    const auto start = static_cast<std::ptrdiff_t>(row * longest);
    std::copy(sample.ids.begin(), sample.ids.end(), batch.ids.begin() + start);
    std::copy(sample.labels.begin(), sample.labels.end(), batch.labels.begin() + start);
    std::copy(sample.real.begin(), sample.real.end(), batch.real.begin() + start);
    batch.expert_label.push_back(sample.expert_label);
    batch.prompt_length.push_back(sample.prompt_length);
    batch.target_tokens += target_tokens(sample);
    batch.real_tokens += std::count(sample.real.begin(), sample.real.end(), 1);
  }
  return batch;
}

}  // namespace sluice::data
