// Against recorded results: transformers' own (golden/models/mixtral) and a float64 reference of a published model (stories260K).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "sluice/base/json.h"
#include "sluice/generate/generate.h"
#include "sluice/generate/logits.h"

namespace sluice::generate {
namespace {

constexpr double kLogitTolerance = 5e-5;  // float32 against float32 of another order of sums; the recording's own noise is 1.2e-5

class Golden : public ::testing::Test {
 protected:
  // The parsed golden.json at `file` under the shared data; skips the test where it is absent.
  Json golden(const std::string& file) {
    const fs::path path = fs::path(SLUICE_SHARED_DIR) / file;
    return fs::exists(path) ? parse_json(read_file(path), file) : Json();
  }
  fs::path model(const std::string& folder) { return fs::path(SLUICE_SHARED_DIR) / folder; }
};

at::Tensor matrix(const Json& rows) {
  std::vector<at::Tensor> out;
  for (const Json& row : rows) out.push_back(at::tensor(row.get<std::vector<double>>(), at::kDouble));
  return at::stack(out);
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST_F(Golden, MixtralLogitsAndGreedyTokensEqualTransformers) {
  const Json expected = golden("golden/models/mixtral/golden.json");
  if (expected.is_null()) GTEST_SKIP() << "no golden/models/mixtral beside the checkout";
  const LoadedModel loaded = open_model(model("golden/models/mixtral"), std::nullopt);
  const auto rows = expected["input_ids"].get<TokenRows>();
  EXPECT_LE(largest_difference(logits(loaded.runnable(), rows)[0], matrix(expected["logits_row0"])), kLogitTolerance);
  const std::vector<std::int32_t> prompt(rows[0].begin(), rows[0].begin() + 20);
  EXPECT_EQ(generate(loaded.runnable(), {prompt}, {.max_tokens = 12})[0], expected["greedy"].get<std::vector<std::int32_t>>());
}

TEST_F(Golden, StoriesLogitsAndLossesEqualTheReference) {
  const Json expected = golden("data/weights/stories260K/golden.json");
  if (expected.is_null()) GTEST_SKIP() << "no data/weights beside the checkout";
  const LoadedModel loaded = open_model(model("data/weights/stories260K-mixtral"), std::nullopt);
  const auto token_nll = [&](const std::vector<std::int32_t>& ids) {
    const at::Tensor log_probability = at::log_softmax(logits(loaded.runnable(), {ids})[0].to(at::kDouble), -1);
    const at::Tensor next = at::tensor(std::vector<std::int64_t>(ids.begin() + 1, ids.end()), at::kLong).unsqueeze(1);
    return -log_probability.narrow(0, 0, next.size(0)).gather(1, next).squeeze(1);
  };
  for (const Json& one : expected["cases"]) {
    const auto ids = one["ids"].get<std::vector<std::int32_t>>();
    EXPECT_LE(
        largest_difference(logits(loaded.runnable(), {ids})[0][-1], at::tensor(one["last_logits"].get<std::vector<double>>(), at::kDouble)),
        kLogitTolerance);
    EXPECT_NEAR(token_nll(ids).mean().item<double>(), one["mean_nll"].get<double>(), 1e-5);
    EXPECT_EQ(generate(loaded.runnable(), {ids}, {.max_tokens = 32})[0], one["greedy_32"].get<std::vector<std::int32_t>>());
  }
  const Json& sequence = expected["sequence_nll"];
  EXPECT_LE(largest_difference(token_nll(sequence["ids"].get<std::vector<std::int32_t>>()),
                               at::tensor(sequence["token_nll"].get<std::vector<double>>(), at::kDouble)),
            kLogitTolerance);
}

TEST_F(Golden, StoriesGreedyTextIsTheOneItsAuthorPublished) {
  const Json expected = golden("data/weights/stories260K/golden.json");
  if (expected.is_null()) GTEST_SKIP() << "no data/weights beside the checkout";
  const LoadedModel loaded = open_model(model("data/weights/stories260K-mixtral"), std::nullopt);
  const auto tokenizer = open_model_tokenizer(loaded.folder, model("data/weights/stories260K"));
  const Json& published = expected["published_greedy"];
  const auto prompt = published["prompt_ids"].get<std::vector<std::int32_t>>();
  const auto ids = published["ids"].get<std::vector<std::int32_t>>();
  const auto made = generate(loaded.runnable(), {prompt}, {.max_tokens = static_cast<std::int64_t>(ids.size() - prompt.size())})[0];
  EXPECT_EQ(made, std::vector<std::int32_t>(ids.begin() + static_cast<std::ptrdiff_t>(prompt.size()), ids.end()));
  EXPECT_EQ(tokenizer->decode(made), published["text"].get<std::string>());
}

TEST_F(Golden, ReducedPrecisionsStayNearFloat32) {
  const Json expected = golden("golden/models/mixtral/golden.json");
  if (expected.is_null()) GTEST_SKIP() << "no golden/models/mixtral beside the checkout";
  const auto rows = expected["input_ids"].get<TokenRows>();
  const at::Tensor reference = matrix(expected["logits_row0"]);
  const double size = reference.abs().max().item<double>();
  for (const auto& [dtype, share] : {std::pair(at::kBFloat16, 0.05), std::pair(at::kHalf, 0.01)}) {  // some ten roundings of 2^-8 and 2^-11
    const LoadedModel loaded = open_model(model("golden/models/mixtral"), dtype);
    // The median: a rounding that changes which expert a token meets moves that token's logits by any amount.
    const at::Tensor difference = (logits(loaded.runnable(), rows)[0].to(at::kDouble) - reference).abs();
    EXPECT_LE(difference.median().item<double>(), share * size) << at::toString(dtype);
    EXPECT_GT(difference.max().item<double>(), 0);
  }
}

}  // namespace
}  // namespace sluice::generate
