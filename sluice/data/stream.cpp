#include "sluice/data/stream.h"

#include "sluice/base/error.h"
#include "sluice/data/shuffle.h"

namespace sluice::data {

std::int64_t SampleStream::row(std::int64_t position) const {
  SLUICE_CHECK(position >= 0, "sample number " + std::to_string(position));
  const std::int64_t rows = dataset_->size(), epoch = position / rows, place = position % rows;
  return shuffle_ == Shuffle::kOff ? place : shuffled(place, rows, seed_, static_cast<std::uint64_t>(epoch));
}

}  // namespace sluice::data
