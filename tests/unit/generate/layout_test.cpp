#include "sluice/generate/layout.h"

#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "tests/unit/generate/tiny_model.h"

namespace sluice::generate {
namespace {

using parallel::ParallelismConfig;

// 4 attention heads, 2 key-value heads, 4 experts of 48 channels, 2 layers.
ParallelismConfig over(const ParallelismConfig& asked, std::int64_t processes) { return layout_of(TinyModel().config, asked, processes); }

std::string refusal(const ParallelismConfig& asked, std::int64_t processes) {
  try {
    over(asked, processes);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Layout, RanksThatTheExpertsLeaveOverSplitEachExpert) {
  const ParallelismConfig asked{.tensor_model_parallel_size = 2, .expert_model_parallel_size = 2};
  EXPECT_EQ(over(asked, 2).expert_tensor_size(), 1);
  EXPECT_EQ(over(asked, 4).expert_tensor_size(), 2);
  EXPECT_EQ(over({.tensor_model_parallel_size = 4}, 4).expert_tensor_size(), 4);
  EXPECT_EQ(over({.expert_model_parallel_size = 4}, 4).expert_tensor_size(), 1);
  EXPECT_EQ(over({.tensor_model_parallel_size = 4, .expert_model_parallel_size = 2}, 4).expert_tensor_size(), 2);
}

TEST(Layout, ProcessesThatWouldHoldCopiesAreRefused) {
  EXPECT_NE(refusal({.expert_model_parallel_size = 2}, 4).find("4 processes were started, and the model is held once by 2 with --expert-model-parallel-size 2"), std::string::npos);
  EXPECT_NE(refusal({}, 2).find("held once by 1"), std::string::npos);
  EXPECT_EQ(refusal({}, 1), "");
  EXPECT_EQ(refusal({.expert_model_parallel_size = 2, .expert_tensor_parallel_size = 2}, 4), "");
}

TEST(Layout, LayersThatDoNotDivideGoToTheFirstStages) {
  TinyModel model;
  model.config.num_hidden_layers = 5;
  const ParallelismConfig layout = layout_of(model.config, {.pipeline_model_parallel_size = 2}, 2);
  EXPECT_EQ(layout.pipeline_layers, (std::vector<std::int64_t>{3, 2}));
}

TEST(Layout, AMistakeIsSaidInTheWordsOfFlagsWithLayoutsThatWork) {
  const std::string text = refusal({.tensor_model_parallel_size = 3}, 3);
  EXPECT_NE(text.find("--tensor_model_parallel_size = 3 does not divide the model's 4 attention heads"), std::string::npos) << text;
  EXPECT_EQ(text.find("parallelism."), std::string::npos) << text;
  EXPECT_EQ(text.find("context_parallel_size="), std::string::npos) << text;
  const std::string two = refusal({.tensor_model_parallel_size = 2}, 4);
  EXPECT_NE(two.find("or with --tensor-model-parallel-size 2 --pipeline-model-parallel-size 2"), std::string::npos) << two;
}

}  // namespace
}  // namespace sluice::generate
