// Several data sets as one, each with its share of the samples.
#pragma once
#include <memory>
#include <vector>

#include "sluice/data/dataset.h"
#include "sluice/data/instruct/blend.h"

namespace sluice::data {

// The rows of the first set, then those of the second, and so on. In the stream of samples the sets alternate by their weights
// (Interleaving), each in the order that it would have alone: a set with a large share begins its next epoch while others are still
// in their first. An epoch of the blend has as many samples as all sets have rows.
class BlendedDataset : public Dataset {
 public:
  // As many weights as sets, each > 0.
  BlendedDataset(std::vector<std::unique_ptr<Dataset>> sets, const std::vector<double>& weights);

  const fs::path& path() const override { return sets_[0]->path(); }
  Sample at(std::int64_t index) const override;
  RawRow raw(std::int64_t index) const override;
  std::int64_t row_at(std::int64_t position, std::uint64_t seed, Shuffle shuffle) const override;
  std::int64_t length(std::int64_t index) const override;

 private:
  struct Place {
    const Dataset& set;
    std::int64_t index;
  };
  Place place(std::int64_t index) const;

  std::vector<std::unique_ptr<Dataset>> sets_;
  std::vector<std::int64_t> begins_;  // the first row of each set, and the number of all rows
  Interleaving interleaving_;
};

}  // namespace sluice::data
