#include "sluice/data/batch.h"

#include <algorithm>

#include "sluice/base/error.h"

namespace sluice::data {

namespace {

bool has_weights(const Sample& sample) { return !sample.weights.empty(); }

// The documents of rows side by side, `longest` tokens each; the filling behind a row is one more.
std::vector<std::int64_t> documents_of(std::span<const Sample> samples, std::int64_t longest) {
  std::vector<std::int64_t> out;
  if (std::ranges::all_of(samples, [](const Sample& sample) { return sample.documents.empty(); })) return out;
  std::int64_t row = 0;
  for (const Sample& sample : samples) {
    if (sample.documents.empty()) out.push_back(row);
    for (const std::int32_t start : sample.documents) out.push_back(row + start);
    if (const auto length = static_cast<std::int64_t>(sample.ids.size()); length < longest) out.push_back(row + length);
    row += longest;
  }
  out.push_back(row);
  return out;
}

double target_weight(const Sample& sample) {
  if (!has_weights(sample)) return static_cast<double>(target_tokens(sample));
  double sum = 0;
  for (std::size_t i = 1; i < sample.labels.size(); ++i) sum += sample.labels[i] == kNotTrained ? 0 : static_cast<double>(sample.weights[i]);
  return sum;
}

}  // namespace

Batch make_batch(std::span<const Sample> samples, std::int64_t pad_id, std::int64_t multiple) {
  SLUICE_CHECK(!samples.empty(), "a batch needs a row");
  std::size_t longest = 0;
  for (const Sample& sample : samples) {
    SLUICE_CHECK(sample.labels.size() == sample.ids.size() && sample.real.size() == sample.ids.size(),
                 "a sample's ids, labels and real differ in length");
    longest = std::max(longest, sample.ids.size());
  }
  const auto step = static_cast<std::size_t>(multiple);
  longest = (longest + step - 1) / step * step;
  Batch batch;
  batch.rows = static_cast<std::int64_t>(samples.size());
  batch.seq = static_cast<std::int64_t>(longest);
  batch.ids.assign(samples.size() * longest, pad_id);
  batch.labels.assign(samples.size() * longest, kNotTrained);
  batch.real.assign(samples.size() * longest, 0);
  if (std::ranges::any_of(samples, has_weights)) batch.weights.assign(samples.size() * longest, 1);
  batch.documents = documents_of(samples, batch.seq);
  for (std::size_t row = 0; row < samples.size(); ++row) {
    const Sample& sample = samples[row];
    const auto start = static_cast<std::ptrdiff_t>(row * longest);
    std::copy(sample.ids.begin(), sample.ids.end(), batch.ids.begin() + start);
    std::copy(sample.labels.begin(), sample.labels.end(), batch.labels.begin() + start);
    std::copy(sample.real.begin(), sample.real.end(), batch.real.begin() + start);
    if (has_weights(sample)) std::copy(sample.weights.begin(), sample.weights.end(), batch.weights.begin() + start);
    batch.expert_label.push_back(sample.expert_label);
    batch.prompt_length.push_back(sample.prompt_length);
    batch.target_tokens += target_tokens(sample);
    batch.target_weight += target_weight(sample);
    batch.real_tokens += std::count(sample.real.begin(), sample.real.end(), 1);
  }
  return batch;
}

}  // namespace sluice::data
