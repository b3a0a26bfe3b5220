#include "sluice/data/stream.h"

#include <algorithm>
#include <vector>

#include "sluice/base/error.h"

namespace sluice::data {

std::int64_t SampleStream::row(std::int64_t position) const {
  SLUICE_CHECK(position >= 0, "sample number " + std::to_string(position));
  return bucket_rows_ > 0 ? bucketed_row(position) : dataset_->row_at(position, seed_, shuffle_);
}

std::int64_t SampleStream::bucketed_row(std::int64_t position) const {
  const std::int64_t stretch = position / (kBucketsAtOnce * bucket_rows_), epoch = position / samples_per_epoch();
  const std::int64_t begin = std::max(stretch * kBucketsAtOnce * bucket_rows_, epoch * samples_per_epoch());
  const std::int64_t end = std::min((stretch + 1) * kBucketsAtOnce * bucket_rows_, (epoch + 1) * samples_per_epoch());
  std::vector<std::pair<std::int64_t, std::int64_t>> by_length;  // tokens (the longest first), row
  for (std::int64_t p = begin; p < end; ++p) {
    const std::int64_t row = dataset_->row_at(p, seed_, shuffle_);
    by_length.emplace_back(-dataset_->length(row), row);
  }
  std::ranges::stable_sort(by_length, {}, &std::pair<std::int64_t, std::int64_t>::first);
  const auto at = [&](std::int64_t p) { return by_length[static_cast<std::size_t>(p - begin)].second; };
  // Buckets at the ends of the stretch may share their batch with another one: these stay where they are.
  const std::int64_t first = (begin + bucket_rows_ - 1) / bucket_rows_, whole = std::max<std::int64_t>(0, end / bucket_rows_ - first);
  const std::int64_t bucket = position / bucket_rows_ - first;
  if (bucket < 0 || bucket >= whole) return at(position);
  const std::int64_t from = first + shuffled(bucket, whole, seed_, static_cast<std::uint64_t>(begin));
  return at(from * bucket_rows_ + position % bucket_rows_);
}

}  // namespace sluice::data
