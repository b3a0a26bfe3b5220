#include "sluice/config/nearest_setting.h"

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

const std::vector<std::string> kKnown{"model.architecture",      "model.load",           "model.tokenizer",          "model.hidden_size",
                                      "model.intermediate_size", "data.path",            "data.seq_length",          "data.max_target_length",
                                      "data.shuffle",            "train.train_iters",    "train.micro_batch_size",   "train.global_batch_size",
                                      "train.seed",              "train.freeze",         "optimizer.lr",             "optimizer.min_lr",
                                      "model.rope_theta",        "model.qk_nope_head_dim",        "optimizer.eps",           "optimizer.schedule",   "optimizer.weight_decay",   "moe.aux_loss",
                                      "moe.aux_loss_scope",      "moe.router_aux_loss_coef", "moe.freeze_router",    "routing_supervision.weight",
                                      "checkpoint.keep",         "log.interval",         "parallelism.tensor_model_parallel_size", "output_dir"};

TEST(NearestSetting, ALetterWrongAnAbbreviationAWordLeftOutOrAnotherSectionFindWhatIsMeant) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"optimizer.lrr", "optimizer.lr"},
      {"optim.lr", "optimizer.lr"},
      {"lr", "optimizer.lr"},
      {"model.hiden_size", "model.hidden_size"},
      {"model.tokeniser", "model.tokenizer"},
      {"trian.seed", "train.seed"},
      {"data.seqlen", "data.seq_length"},
      {"data.sequence_length", "data.seq_length"},
      {"model.seq_length", "data.seq_length"},
      {"model.tensor_parallel_size", "parallelism.tensor_model_parallel_size"},
      {"tensor_parallel_size", "parallelism.tensor_model_parallel_size"},
      {"moe.aux_loss_coef", "moe.router_aux_loss_coef"},
      {"moe.router_aux_loss_coeff", "moe.router_aux_loss_coef"},
      {"train.weight_decay", "optimizer.weight_decay"},
      {"routing_supervision.wieght", "routing_supervision.weight"},
      {"moe.freeze", "moe.freeze_router"},
      {"freeze", "train.freeze"},
      {"checkpointing.keep", "checkpoint.keep"},
      {"outputdir", "output_dir"},
      {"train.itres", "train.train_iters"},
      {"train.iter", "train.train_iters"},
  };
  for (const auto& [written, meant] : cases) EXPECT_EQ(nearest_settings(written, kKnown), std::vector<std::string>{meant}) << written;
}

TEST(NearestSetting, SeveralThatAreEquallyNearAreAllNamed) {
  const std::vector<std::string> sizes{"train.micro_batch_size", "train.global_batch_size"};
  EXPECT_EQ(nearest_settings("train.batch_size", kKnown), sizes);
  EXPECT_EQ(nearest_settings("batch_size", kKnown), sizes);
  EXPECT_EQ(quoted_nearest("batch_size", kKnown), "'train.micro_batch_size' or 'train.global_batch_size'");
  EXPECT_EQ(quoted_nearest("anything", {}), "");
}

TEST(NearestSetting, NoneIsNamedWhereNoneIsNear) {
  for (const char* far : {"foo", "nope", "xyz", "train.foo", "moe.nonsense", "model.number_of_things"}) EXPECT_EQ(nearest_settings(far, kKnown), std::vector<std::string>{}) << far;
}

}  // namespace
}  // namespace sluice::config
