#include <gtest/gtest.h>

#include <set>

#include "sluice/base/error.h"
#include "sluice/models/mixtral/config.h"
#include "sluice/models/registry.h"

namespace sluice::models {
namespace {

std::int64_t count(const std::vector<std::int64_t>& shape) {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

TEST(TensorTable, EveryParameterIsCoveredExactlyByItsHfTensorsInEveryArchitecture) {
  for (const Architecture& architecture : architectures()) {
    std::set<std::string> names;
    std::int64_t total = 0;
    const auto config = architecture.make_config();
    for (const TensorSpec& spec : config->tensor_table()) {
      std::int64_t offset = 0;
      for (const HfPart& part : spec.hf) {
        EXPECT_TRUE(names.insert(part.name).second) << part.name << " is named twice";
        EXPECT_EQ(part.offset, offset) << part.name;
        offset += count(part.shape);
      }
      EXPECT_EQ(offset, count(spec.parameter.shape)) << spec.parameter.name;
      total += offset;
    }
    EXPECT_EQ(config->cost(1).parameters, total) << architecture.name;
  }
}

TEST(TensorTable, Mixtral8x7BHasItsPublishedSize) {
  const Cost cost = MixtralConfig().cost(1);
  EXPECT_EQ(cost.parameters, 46'702'792'704);         // mistralai/Mixtral-8x7B-v0.1
  EXPECT_EQ(cost.active_parameters, 12'879'925'248);  // two of eight experts
}

TEST(HfConfig, ReadsBothStylesAndWritesBoth) {
  const OrderedJson written = MixtralConfig().write_hf(at::kBFloat16);
  EXPECT_EQ(written["rope_theta"], 1e6);
  EXPECT_EQ(written["rope_parameters"]["rope_theta"], 1e6);
  EXPECT_EQ(written["torch_dtype"], "bfloat16");
  EXPECT_EQ(written["dtype"], "bfloat16");
  for (const char* dropped : {"rope_theta", "rope_parameters"}) {
    Json config = Json::parse(written.dump());
    config.erase(dropped);
    MixtralConfig read;
    read.rope_theta = 1;
    read.read_hf(config, "config.json");
    EXPECT_EQ(read.rope_theta, 1e6);
  }
}

TEST(HfConfig, StylesThatDisagreeAreAnError) {
  Json config = Json::parse(MixtralConfig().write_hf(at::kFloat).dump());
  config["rope_theta"] = 1e4;
  EXPECT_THROW(MixtralConfig().read_hf(config, "config.json"), Error);
}

}  // namespace
}  // namespace sluice::models
