// Which rows of a file are held out for validation: a function of the row's number alone.
#pragma once
#include <cstdint>

namespace sluice::data {

// The rows that one data set takes from a file.
struct RowChoice {
  enum class Part { kAll, kTrain, kHeldOut };
  Part part = Part::kAll;
  double held_out_fraction = 0;

  // The same for every seed and every run, so that a model is never validated on rows it was trained on.
  bool takes(std::int64_t row) const;
};

}  // namespace sluice::data
