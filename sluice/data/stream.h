// The endless stream of samples that training reads: epoch after epoch, each in its own order.
#pragma once
#include <cstdint>

#include "sluice/data/dataset.h"

namespace sluice::data {

// Sample number p (from 0) is row p % size of epoch p / size; epochs follow each other inside a batch, and a data set smaller than a batch
// repeats. A function of (data set, seed, p) alone, so a rank takes its rows of a global batch by number, and every layout sees the same
// samples.
class SampleStream {
 public:
  // Borrows `dataset`. With `bucket_rows` above 0, samples of similar length stand together: the order that there would be is taken
  // kBucketsAtOnce * bucket_rows samples at a time (never across two epochs), sorted by length, cut into buckets where the position is a
  // multiple of bucket_rows, and the whole buckets are shuffled. An epoch has the same samples either way.
  SampleStream(const Dataset& dataset, std::uint64_t seed, Shuffle shuffle, std::int64_t bucket_rows = 0)
      : dataset_(&dataset), seed_(seed), shuffle_(shuffle), bucket_rows_(bucket_rows) {}
  static constexpr std::int64_t kBucketsAtOnce = 50;

  // Sample number `position` >= 0, wherever the stream is.
  Sample at(std::int64_t position) const { return dataset_->at(row(position)); }

  // The data set's row that is sample number `position`.
  std::int64_t row(std::int64_t position) const;

  // The sample at position(), which moves on by one.
  Sample next() { return at(position_++); }

  // All the state there is; what a checkpoint keeps. For data-parallel use it counts samples of all ranks.
  std::int64_t position() const { return position_; }
  void set_position(std::int64_t position) { position_ = position; }

  std::int64_t samples_per_epoch() const { return dataset_->size(); }

 private:
  std::int64_t bucketed_row(std::int64_t position) const;

  const Dataset* dataset_;
  std::uint64_t seed_;
  Shuffle shuffle_;
  std::int64_t bucket_rows_;
  std::int64_t position_ = 0;
};

}  // namespace sluice::data
