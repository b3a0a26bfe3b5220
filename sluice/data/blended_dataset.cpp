#include "sluice/data/blended_dataset.h"

#include <algorithm>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"

namespace sluice::data {

BlendedDataset::BlendedDataset(std::vector<std::unique_ptr<Dataset>> sets, const std::vector<double>& weights)
    : sets_(std::move(sets)), interleaving_(weights) {
  SLUICE_CHECK(weights.size() == sets_.size(), "a blend has a weight a set");
  begins_.push_back(0);
  for (const auto& set : sets_) {
    counts_.add(set->counts());
    begins_.push_back(begins_.back() + set->size());
  }
  counts_.fingerprint =
      crc32c(std::as_bytes(std::span(weights)), counts_.fingerprint);  // other shares are other data to a run that goes on
}

BlendedDataset::Place BlendedDataset::place(std::int64_t index) const {
  check_index(index);
  const auto set = static_cast<std::size_t>(std::ranges::upper_bound(begins_, index) - begins_.begin()) - 1;
  return {*sets_[set], index - begins_[set]};
}

Sample BlendedDataset::at(std::int64_t index) const {
  const Place at = place(index);
  return at.set.at(at.index);
}

RawRow BlendedDataset::raw(std::int64_t index) const {
  const Place at = place(index);
  return at.set.raw(at.index);
}

std::int64_t BlendedDataset::length(std::int64_t index) const {
  const Place at = place(index);
  return at.set.length(at.index);
}

std::int64_t BlendedDataset::row_at(std::int64_t position, std::uint64_t seed, Shuffle shuffle) const {
  const auto [set, number] = interleaving_.at(position);
  return begins_[set] + sets_[set]->row_at(number, seed, shuffle);
}

}  // namespace sluice::data
