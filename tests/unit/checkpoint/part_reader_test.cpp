#include "sluice/checkpoint/part_reader.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "sluice/models/shard.h"

namespace sluice::checkpoint {
namespace {

std::vector<nn::ParameterSpec> parts_of(const std::vector<models::TensorSpec>& table, const dist::GridSizes& sizes, std::int64_t rank) {
  std::vector<nn::ParameterSpec> specs;
  for (const models::TensorSpec& spec : table) specs.push_back(models::part_of(spec, sizes, dist::place_of(sizes, rank)));
  return specs;
}

std::unique_ptr<nn::ParameterStore> read(const ModelFolder& folder, WeightReader& weights, const std::vector<models::TensorSpec>& table, const std::vector<nn::ParameterSpec>& specs) {
  auto store = std::make_unique<nn::ParameterStore>(specs);
  allocate_for_inference(*store, at::kFloat);
  for (nn::Parameter& parameter : store->all()) parameter.value.fill_(-1);
  map_or_read_parts(folder, weights, table, *store);
  return store;
}

// The elements that a part holds of a parameter, and zero where it holds none.
at::Tensor part_of_whole(const nn::ParameterSpec& spec, const at::Tensor& whole) {
  if (spec.is_whole()) return whole;
  const at::Tensor out = at::zeros(spec.shape, whole.options());
  nn::copy_pieces(spec.part, whole, out);
  return out;
}

// HF's matrices as they are, transposed (gpt2), experts one by one (mixtral, deepseek_v3), stacked (gpt_oss), and several in one tensor (gpt_neox, qwen3_next).
TEST(PartReader, ReadsWhatIsCutFromTheWholeParameters) {
  for (const char* family : {"mixtral", "deepseek_v3", "gpt2", "gpt_oss", "gpt_neox", "qwen3_next"}) {
    const fs::path path = fs::path(SLUICE_SHARED_DIR) / "golden/models" / family;
    if (!fs::exists(path)) GTEST_SKIP() << "no " << path << " beside the checkout";
    const ModelFolder folder = open_model_folder(path);
    const auto table = folder.config->tensor_table();
    const auto weights = open_weights(folder, table);
    const auto whole = read(folder, *weights, table, models::parameter_specs(table));
    for (const dist::GridSizes& sizes : {dist::GridSizes{.tensor = 2, .expert_tensor = 2}, {.tensor = 4, .expert_tensor = 4}, {.data = 2, .expert = 2}, {.tensor = 2, .data = 2, .expert_tensor = 2, .expert = 2}}) {
      for (std::int64_t rank = 0; rank < sizes.world(); ++rank) {
        const auto part = read(folder, *weights, table, parts_of(table, sizes, rank));
        for (const nn::Parameter& parameter : part->all()) {
          const at::Tensor expected = part_of_whole(parameter.spec, whole->at(parameter.spec.name).value);
          EXPECT_TRUE(at::equal(parameter.value, expected)) << family << " " << parameter.spec.name << " on rank " << rank;
        }
      }
    }
  }
}

TEST(PartReader, LeavesWhatOtherRanksHaveUnread) {
  const fs::path path = fs::path(SLUICE_SHARED_DIR) / "golden/models/mixtral";
  if (!fs::exists(path)) GTEST_SKIP() << "no " << path << " beside the checkout";
  const ModelFolder folder = open_model_folder(path);
  const auto table = folder.config->tensor_table();
  struct Counting final : WeightReader {
    explicit Counting(WeightReader& all) : all_(all) {}
    void read(const models::TensorSpec& spec, const at::Tensor& out) override {
      note(spec);
      all_.read(spec, out);
    }
    at::Tensor mapped(const models::TensorSpec& spec, at::ScalarType dtype) override {
      const at::Tensor found = all_.mapped(spec, dtype);
      if (found.defined()) note(spec);
      return found;
    }
    void note(const models::TensorSpec& spec) {
      for (const models::HfPart& part : spec.hf) names.insert(part.name);
    }
    WeightReader& all_;
    std::set<std::string> names;
  };
  const auto weights = open_weights(folder, table);
  Counting counting(*weights);
  const dist::GridSizes sizes{.data = 2, .expert = 2};
  read(folder, counting, table, parts_of(table, sizes, 1));
  EXPECT_TRUE(counting.names.contains("model.layers.0.block_sparse_moe.experts.3.w1.weight"));
  EXPECT_FALSE(counting.names.contains("model.layers.0.block_sparse_moe.experts.1.w1.weight"));
}

}  // namespace
}  // namespace sluice::checkpoint
