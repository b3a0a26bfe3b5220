#include "sluice/generate/draft.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "sluice/generate/logits.h"
#include "sluice/models/deepseek/config.h"
#include "sluice/models/glm4_moe/config.h"
#include "sluice/models/qwen3_next/config.h"
#include "tests/unit/generate/tiny_model.h"

namespace sluice::generate {
namespace {

using Ids = std::vector<std::int32_t>;

// A small model of each family that has a predictor, with random float32 weights.
class Predicting {
 public:
  Predicting(const std::string& family, std::int64_t vocab, std::uint64_t seed) {
    if (family == "deepseek_v3") make<models::DeepseekV3Config>(vocab, seed);
    if (family == "glm4_moe") make<models::Glm4MoeConfig>(vocab, seed);
    if (family == "qwen3_next") make<models::Qwen3NextConfig>(vocab, seed);
  }
  Runnable runnable() const { return {*model_, *config_}; }

 private:
  template <class Config>
  void make(std::int64_t vocab, std::uint64_t seed) {
    auto config = std::make_unique<Config>();
    set_sizes(*config);
    config->vocab_size_ = vocab;
    config->num_nextn_predict_layers = 1;
    config->max_position_embeddings = 128;
    store_ = std::make_unique<nn::ParameterStore>(models::parameter_specs(config->tensor_table()));
    checkpoint::allocate_for_inference(*store_, at::kFloat);
    store_->initialise(seed, /*std=*/0.3);
    model_ = config->build(*store_);
    config_ = std::move(config);
  }

  static void set_sizes(models::DeepseekV3Config& config) {
    config.hidden_size = 24, config.num_hidden_layers = 2, config.num_attention_heads = 2, config.intermediate_size = 20, config.moe_intermediate_size = 8;
    config.n_routed_experts = 6, config.num_experts_per_tok = 2, config.n_group = 3, config.topk_group = 2, config.first_k_dense_replace = 1;
    config.q_lora_rank.reset(), config.kv_lora_rank = 10, config.qk_rope_head_dim = 4, config.qk_nope_head_dim = 6, config.v_head_dim = 8;
  }
  static void set_sizes(models::Glm4MoeConfig& config) {
    config.hidden_size = 24, config.num_hidden_layers = 2, config.num_attention_heads = 4, config.num_key_value_heads = 2, config.head_dim = 8;
    config.intermediate_size = 20, config.moe_intermediate_size = 8, config.n_routed_experts = 6, config.num_experts_per_tok = 2;
  }
  static void set_sizes(models::Qwen3NextConfig& config) {
    config.hidden_size = 24, config.num_hidden_layers = 4, config.num_attention_heads = 4, config.num_key_value_heads = 2, config.head_dim = 8;
    config.num_experts = 6, config.num_experts_per_tok = 2, config.moe_intermediate_size = 8, config.shared_expert_intermediate_size = 12;
    config.linear_key_head_dim = 6, config.linear_value_head_dim = 10, config.linear_num_key_heads = 2, config.linear_num_value_heads = 4;
  }

  std::unique_ptr<models::ModelConfig> config_;
  std::unique_ptr<nn::ParameterStore> store_;
  std::unique_ptr<models::Model> model_;
};

// What the predictor guesses for the token behind `ids`, all computed anew: no cache.
std::int32_t guess_without_cache(const Runnable& runnable, const Ids& ids) {
  const at::NoGradGuard no_grad;
  const auto count = static_cast<std::int64_t>(ids.size()) - 1;
  const at::Tensor all = at::tensor(std::vector<std::int64_t>(ids.begin(), ids.end()), at::kLong);
  const nn::ForwardContext context{{1, count, {}, {}, {}}, nn::local_seams(), nn::Mode::kInference};
  at::Tensor hidden = runnable.model.embed(all.narrow(0, 0, count), context);
  for (const auto& block : runnable.model.blocks()) hidden = block->forward(hidden, context).hidden;
  const at::Tensor out = runnable.model.multi_token_predictor()->forward(runnable.model.final_norm(hidden), all.narrow(0, 1, count), context).hidden;
  return static_cast<std::int32_t>(nn::head_logits(out, runnable.model.head())[-1].argmax().item<std::int64_t>());
}

// Greedy text `out` behind `prompt` says what every guess should have been: how many there are, and how many are right. Behind a wrong
// one a recurrent model reads a token without a guess.
DraftCounts expected_counts(const Runnable& runnable, const Ids& prompt, const Ids& out, bool recurrent) {
  DraftCounts counts;
  for (std::size_t made = 1; made + 1 < out.size();) {
    Ids ids = prompt;
    ids.insert(ids.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(made));
    const bool right = guess_without_cache(runnable, ids) == out[made];
    ++counts.guessed;
    counts.taken += right ? 1 : 0;
    made += right || recurrent ? 2 : 1;
  }
  return counts;
}

class WithDraft : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Families, WithDraft, testing::Values("deepseek_v3", "glm4_moe", "qwen3_next"), [](const auto& test) { return test.param; });

TEST_P(WithDraft, GreedyTokensAreThoseWithoutADraftAndGuessesThoseOfWholePasses) {
  DraftCounts all;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const Predicting tiny(GetParam(), /*vocab=*/5, seed);
    const Ids prompt = random_ids(1 + 5 * seed, seed, 5);
    const Ids plain = generate(tiny.runnable(), {prompt}, {.max_tokens = 40})[0];
    DraftCounts counts;
    EXPECT_EQ(generate(tiny.runnable(), {prompt}, {.max_tokens = 40, .draft = Draft::kMtp, .draft_counts = &counts})[0], plain) << seed;
    const DraftCounts expected = expected_counts(tiny.runnable(), prompt, plain, GetParam() == std::string("qwen3_next"));
    EXPECT_EQ(counts.guessed, expected.guessed) << seed;
    EXPECT_EQ(counts.taken, expected.taken) << seed;
    all.guessed += counts.guessed;
    all.taken += counts.taken;
  }
  EXPECT_GT(all.taken, all.guessed / 20);  // both ways on are taken
  EXPECT_LT(all.taken, all.guessed);
}

TEST_P(WithDraft, EndsWhereATextEndsWithoutOne) {
  const Predicting tiny(GetParam(), 5, 1);
  const Ids prompt = random_ids(4, 1, 5);
  for (const std::int64_t max_tokens : {1, 2, 3, 7}) {
    for (const std::int32_t stop : {-1, 0, 1, 2, 3, 4}) {
      Ids seen;
      const OnToken see = [&](std::size_t, std::int32_t id) {
        seen.push_back(id);
        return Next::kGoOn;
      };
      const GenerateOptions plain{.max_tokens = max_tokens, .stop_ids = {stop}}, drafted{.max_tokens = max_tokens, .stop_ids = {stop}, .draft = Draft::kMtp};
      EXPECT_EQ(generate(tiny.runnable(), {prompt}, drafted, see), generate(tiny.runnable(), {prompt}, plain)) << max_tokens << " " << stop;
      EXPECT_EQ(generate(tiny.runnable(), {prompt}, drafted)[0], seen);
    }
  }
}

// The probability of each text of `length` tokens behind `prompt`, from whole passes.
void add_probabilities(const Runnable& runnable, const Ids& prompt, const Sampling& sampling, std::size_t length, double before, const Ids& text, std::map<Ids, double>& out) {
  if (text.size() == length) {
    out[text] = before;
    return;
  }
  Ids ids = prompt;
  ids.insert(ids.end(), text.begin(), text.end());
  const at::Tensor last = logits(runnable, {ids})[0][-1].contiguous();
  const std::span<float> values(last.data_ptr<float>(), static_cast<std::size_t>(last.numel()));
  penalize_repetition(values, ids, sampling.repetition_penalty);
  const Distribution next(values, sampling);
  for (std::int32_t id = 0; id < last.numel(); ++id) {
    Ids longer = text;
    longer.push_back(id);
    if (next.probability(id) > 0) add_probabilities(runnable, prompt, sampling, length, before * next.probability(id), longer, out);
  }
}

TEST_P(WithDraft, SampledTextsHaveTheDistributionOfTheModel) {
  constexpr int kDraws = 1200, kLength = 4;
  const Predicting tiny(GetParam(), /*vocab=*/4, 2);
  const Ids prompt = random_ids(5, 3, 4);
  for (const Sampling& sampling : {Sampling{.temperature = 1}, Sampling{.temperature = 1.5, .top_k = 3, .top_p = 0.95, .repetition_penalty = 1.3}}) {
    std::map<Ids, double> probability;
    add_probabilities(tiny.runnable(), prompt, sampling, kLength, 1, {}, probability);
    std::map<Ids, int> drawn;
    DraftCounts counts;
    for (std::uint64_t i = 0; i < kDraws; ++i) {
      ++drawn[generate(tiny.runnable(), {prompt}, {.max_tokens = kLength, .sampling = sampling, .first_index = i, .draft = Draft::kMtp, .draft_counts = &counts})[0]];
    }
    // Pearson's chi-squared over the texts that are expected five times or more, the others as one.
    double chi_squared = 0, rare = 0, cells = 0;
    int rarely_drawn = 0;
    for (const auto& [text, p] : probability) {
      const double expected = p * kDraws;
      if (expected < 5) {
        rare += expected, rarely_drawn += drawn[text];
      } else {
        chi_squared += std::pow(drawn[text] - expected, 2) / expected, ++cells;
      }
      drawn.erase(text);
    }
    if (rare > 0) chi_squared += std::pow(rarely_drawn - rare, 2) / rare, ++cells;
    EXPECT_TRUE(drawn.empty()) << "texts that cannot be";
    EXPECT_LT(chi_squared, cells - 1 + 4.5 * std::sqrt(2 * (cells - 1))) << cells << " cells";  // mean and deviations of its distribution
    EXPECT_GT(counts.taken, counts.guessed / 20);
    EXPECT_LT(counts.taken, counts.guessed * 9 / 10) << "few were refused: the rule was hardly tried";
  }
}

TEST(DraftByPrediction, WithoutAPredictorIsAnErrorWithItsRemedy) {
  const TinyModel mixtral;
  try {
    generate(mixtral.runnable(), {{1, 2}}, {.max_tokens = 4, .draft = Draft::kMtp});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.problem().find("holds none"), std::string::npos);
    EXPECT_NE(error.remedy().find("leave --draft out"), std::string::npos);
  }
}

}  // namespace
}  // namespace sluice::generate
