#include "sluice/train/best.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "sluice/checkpoint/step_folder.h"

#include "sluice/checkpoint/step_folder.h"

namespace sluice::train {
namespace {

class Best : public ::testing::Test {
 protected:
  Best() {
    std::string pattern = (fs::temp_directory_path() / "sluice-best-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~Best() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  fs::path run(const std::string& name, const std::vector<std::int64_t>& steps) const {
    for (const std::int64_t step : steps) {
      checkpoint::StepFolderWriter writer(folder_ / name, step, 0);
      writer.write_file("weights", "w");
      writer.commit();
    }
    return folder_ / name;
  }
  static fs::path step(const fs::path& run, std::int64_t number) { return checkpoint::checkpoints_folder(run) / checkpoint::step_name(number); }
  static Progress at(std::int64_t number, std::int64_t best) {
    Progress progress;
    progress.step = number;
    progress.best_step = best;
    if (best > 0) progress.best_validation_loss = 2.5;
    return progress;
  }

  fs::path folder_;
};

TEST_F(Best, AStepBackMakesTheBestOfThatTimeTheBestAgain) {
  const fs::path own = run("own", {2, 4, 6});
  checkpoint::write_pointer(own, checkpoint::kBest, 6);
  Progress progress = at(4, 2);
  EXPECT_EQ(settle_pointers(own, step(own, 4), progress), "");
  EXPECT_EQ(checkpoint::read_pointer(own, checkpoint::kBest), 2);
  EXPECT_EQ(checkpoint::read_pointer(own, checkpoint::kLatest), 4);
  EXPECT_EQ(progress.best_step, 2);
}

TEST_F(Best, ABestThatIsNotAmongTheRunsCheckpointsIsForgotten) {
  const fs::path own = run("own", {4, 6}), other = run("other", {2, 4});
  checkpoint::write_pointer(own, checkpoint::kBest, 6);
  Progress removed = at(4, 2), of_another = at(4, 4);
  EXPECT_NE(settle_pointers(own, step(own, 4), removed).find("step-00000002"), std::string::npos);
  EXPECT_FALSE(checkpoint::read_pointer(own, checkpoint::kBest).has_value());
  EXPECT_EQ(removed.best_step, 0);
  EXPECT_FALSE(removed.best_validation_loss.has_value());
  EXPECT_NE(settle_pointers(folder_ / "new", step(other, 4), of_another), "") << "a step of the same number in the new run would be another's best";
  EXPECT_EQ(of_another.best_step, 0);
  EXPECT_FALSE(fs::exists(folder_ / "new")) << "nothing is made";
}

TEST_F(Best, ARunThatWasNeverValidatedHasNothingToForget) {
  const fs::path own = run("own", {4});
  Progress progress = at(4, 0);
  EXPECT_EQ(settle_pointers(own, step(own, 4), progress), "");
}

}  // namespace
}  // namespace sluice::train
