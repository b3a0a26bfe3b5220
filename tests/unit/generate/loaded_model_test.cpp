#include "sluice/generate/loaded_model.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sluice/generate/logits.h"
#include "tests/unit/checkpoint/scratch.h"
#include "tests/unit/generate/tiny_model.h"

namespace sluice::generate {
namespace {

TEST(LoadedModel, WhatOneFileHoldsAsItIsComputedWithStaysThereAndTheRestIsCopied) {
  TinyModel tiny;
  const checkpoint::ScratchFolder scratch;
  const auto table = tiny.config.tensor_table();
  checkpoint::export_hf(scratch / "hf", tiny.config, table, [&](const models::TensorSpec& spec) { return checkpoint::exact_value(tiny.store->at(spec.parameter.name)); }, checkpoint::DType::kF32, std::nullopt);
  const LoadedModel loaded = open_model(scratch / "hf", std::nullopt);
  const auto lies_in_file = [&](const std::string& name) {
    const auto spec = std::ranges::find_if(table, [&](const models::TensorSpec& row) { return row.parameter.name == name; });
    const at::Tensor mapped = loaded.weights->mapped(*spec, at::kFloat);
    return mapped.defined() && mapped.data_ptr() == loaded.store->at(name).value.data_ptr();
  };
  EXPECT_TRUE(lies_in_file("embedding.weight"));
  EXPECT_TRUE(lies_in_file("layers.1.attention.q_proj.weight"));
  EXPECT_FALSE(lies_in_file("layers.0.experts.gate_up.weight"));  // a tensor for each expert there
  for (const nn::Parameter& parameter : tiny.store->all()) EXPECT_TRUE(at::equal(parameter.value, loaded.store->at(parameter.spec.name).value)) << parameter.spec.name;
  EXPECT_TRUE(at::equal(logits(tiny.runnable(), {{1, 2, 3}}), logits(loaded.runnable(), {{1, 2, 3}})));

  const LoadedModel other_type = open_model(scratch / "hf", at::kBFloat16);
  EXPECT_TRUE(at::equal(other_type.store->at("embedding.weight").value, tiny.store->at("embedding.weight").value.to(at::kBFloat16)));
}

}  // namespace
}  // namespace sluice::generate
