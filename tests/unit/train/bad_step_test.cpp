#include "sluice/train/bad_step.h"

#include <gtest/gtest.h>

namespace sluice::train {
namespace {

TEST(GradientNorms, TheFirstHundredCountAlike) {
  GradientNorms norms;
  for (int i = 1; i <= 100; ++i) norms.add(i);
  EXPECT_NEAR(norms.mean, 50.5, 1e-12);
  norms.add(150.5);  // from now on one in a hundred
  EXPECT_NEAR(norms.mean, 51.5, 1e-12);
}

TEST(GradientNorms, NothingIsASpikeBeforeThereAreTenToCompareWith) {
  GradientNorms norms;
  for (int i = 0; i < 9; ++i) norms.add(1);
  EXPECT_FALSE(norms.is_spike(1e9, 2));
  norms.add(1);
  EXPECT_TRUE(norms.is_spike(2.001, 2));
  EXPECT_FALSE(norms.is_spike(2, 2));
}

}  // namespace
}  // namespace sluice::train
