#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <limits>

#include "sluice/base/error.h"
#include "sluice/models/gemma/config.h"
#include "sluice/models/gpt2/config.h"
#include "sluice/models/gpt_neox/config.h"
#include "sluice/models/llama/config.h"
#include "sluice/models/llama/qwen_config.h"
#include "sluice/models/registry.h"
#include "sluice/nn/head.h"
#include "tests/unit/models/config_checks.h"

namespace sluice::models {
namespace {

struct Sizes {
  std::int64_t vocab, hidden, layers, heads, kv_heads, head_dim, ffn;
};

template <class Config>
Config decoder(const Sizes& s) {
  Config config;
  config.vocab_size_ = s.vocab;
  config.hidden_size = s.hidden;
  config.num_hidden_layers = s.layers;
  config.num_attention_heads = s.heads;
  config.num_key_value_heads = s.kv_heads;
  config.head_dim = s.head_dim;
  config.intermediate_size = s.ffn;
  return config;
}

template <class Config>
Config tied(Config config) {
  config.tie_word_embeddings = true;
  return config;
}

std::int64_t parameters(const ModelConfig& config) { return config.cost(1).parameters; }

// Parameters as the released safetensors files have them.
TEST(Llama, HasItsPublishedSizes) {
  EXPECT_EQ(parameters(LlamaConfig()), 6'738'415'616);                                                                // Llama 2 7B
  EXPECT_EQ(parameters(decoder<LlamaConfig>({128256, 4096, 32, 32, 8, 128, 14336})), 8'030'261'248);                  // Llama 3.1 8B
  EXPECT_EQ(parameters(decoder<LlamaConfig>({128256, 8192, 80, 64, 8, 128, 28672})), 70'553'706'496);                 // Llama 3.3 70B
  EXPECT_EQ(parameters(tied(decoder<LlamaConfig>({128256, 2048, 16, 32, 8, 64, 8192}))), 1'235'814'400);              // Llama 3.2 1B
  EXPECT_EQ(parameters(MistralConfig()), 7'241'732'096);                                                              // Mistral 7B v0.1
  EXPECT_EQ(parameters(tied(decoder<Qwen2Config>({151936, 896, 24, 14, 2, 64, 4864}))), 494'032'768);                 // Qwen2.5 0.5B
  EXPECT_EQ(parameters(decoder<Qwen2Config>({152064, 3584, 28, 28, 4, 128, 18944})), 7'615'616'512);                  // Qwen2.5 7B
  EXPECT_EQ(parameters(tied(decoder<Qwen3Config>({151936, 1024, 28, 16, 8, 128, 3072}))), 596'049'920);               // Qwen3 0.6B
  EXPECT_EQ(parameters(decoder<Qwen3Config>({151936, 4096, 36, 32, 8, 128, 12288})), 8'190'735'360);                  // Qwen3 8B
}

TEST(Gemma, HasItsPublishedSizes) {
  EXPECT_EQ(parameters(GemmaConfig()), 8'537'680'896);                                                                // Gemma 7B
  EXPECT_EQ(parameters(tied(decoder<GemmaConfig>({256000, 2048, 18, 8, 1, 256, 16384}))), 2'506'172'416);             // Gemma 2B
  EXPECT_EQ(parameters(Gemma2Config()), 2'614'341'888);                                                               // Gemma 2 2B
  EXPECT_EQ(parameters(tied(decoder<Gemma2Config>({256000, 3584, 42, 16, 8, 256, 14336}))), 9'241'705'984);           // Gemma 2 9B
  EXPECT_EQ(parameters(tied(decoder<Gemma2Config>({256000, 4608, 46, 32, 16, 128, 36864}))), 27'227'128'320);         // Gemma 2 27B
}

TEST(Gpt2, HasItsPublishedSizes) {
  Gpt2Config config;
  EXPECT_EQ(parameters(config), 124'439'808);  // gpt2
  config.n_embd = 1600;
  config.n_layer = 48;
  config.n_head = 25;
  EXPECT_EQ(parameters(config), 1'557'611'200);  // gpt2-xl
}

TEST(GptNeox, HasItsPublishedSizes) {
  GptNeoxConfig config;
  config.vocab_size_ = 50304;
  config.hidden_size = 512;
  config.num_hidden_layers = 6;
  config.num_attention_heads = 8;
  config.intermediate_size = 2048;
  EXPECT_EQ(parameters(config), 70'426'624);  // pythia-70m
  config.vocab_size_ = 50432;
  config.hidden_size = 4096;
  config.num_hidden_layers = 32;
  config.num_attention_heads = 32;
  config.intermediate_size = 16384;
  EXPECT_EQ(parameters(config), 6'857'302'016);  // pythia-6.9b
}

constexpr std::int64_t kVocab = 61, kPositions = 32;
constexpr Sizes kTiny{kVocab, 24, 3, 4, 2, 10, 20};

// Tiny models of every dense type, with windows shorter than the text.
std::vector<std::unique_ptr<ModelConfig>> tiny_models() {
  std::vector<std::unique_ptr<ModelConfig>> all;
  const auto add = [&](auto config) {
    config.max_position_embeddings = kPositions;
    all.push_back(std::make_unique<decltype(config)>(std::move(config)));
  };
  add(decoder<LlamaConfig>(kTiny));
  MistralConfig mistral = decoder<MistralConfig>(kTiny);
  mistral.sliding_window = 5;
  add(mistral);
  Qwen2Config qwen2 = decoder<Qwen2Config>(kTiny);
  qwen2.use_sliding_window = true;
  qwen2.sliding_window = 4;
  qwen2.max_window_layers = 1;
  add(qwen2);
  add(decoder<Qwen3Config>(kTiny));
  add(decoder<GemmaConfig>(kTiny));
  Gemma2Config gemma2 = decoder<Gemma2Config>(kTiny);
  gemma2.sliding_window = 3;
  add(gemma2);
  GptNeoxConfig neox;
  neox.vocab_size_ = kVocab;
  neox.hidden_size = 24;
  neox.num_hidden_layers = 2;
  neox.num_attention_heads = 3;
  neox.intermediate_size = 20;
  add(neox);
  Gpt2Config gpt2;
  gpt2.vocab_size_ = kVocab;
  gpt2.n_positions = kPositions;
  gpt2.n_embd = 24;
  gpt2.n_layer = 2;
  gpt2.n_head = 3;
  gpt2.scale_attn_by_inverse_layer_idx = true;
  all.push_back(std::make_unique<Gpt2Config>(gpt2));
  return all;
}

// A model whose parameters are all random.
struct Built {
  nn::ParameterStore store;
  std::unique_ptr<Model> model;

  explicit Built(const ModelConfig& config) : store(parameter_specs(config.tensor_table())) {
    const at::NoGradGuard no_grad;
    store.allocate_for_training(nn::Precision::kFloat32, [](const std::string&) { return false; });
    store.initialise(/*seed=*/3, /*std=*/0.2);
    std::uint64_t seed = 100;
    for (nn::Parameter& parameter : store.all()) {
      if (parameter.spec.init == nn::Init::kNormal) continue;
      auto generator = at::make_generator<at::CPUGeneratorImpl>(seed++);
      parameter.master.add_(at::randn(parameter.master.sizes(), generator) * 0.2);
    }
    store.refresh_compute_copies();
    model = config.build(store);
  }

  // [rows * seq, vocab]
  at::Tensor logits(const at::Tensor& ids, nn::KvCache* cache, const at::Tensor& key_mask = {}) const {
    const at::NoGradGuard no_grad;
    const nn::ForwardContext context{{ids.size(0), ids.size(1), key_mask, {}}, nn::local_seams(), nn::Mode::kInference, 0, cache};
    at::Tensor hidden = model->embed(ids.reshape(-1), context);
    for (const auto& block : model->blocks()) hidden = block->forward(hidden, context).hidden;
    if (cache) cache->length += ids.size(1);
    return nn::head_logits(model->final_norm(hidden), model->head());
  }
};

at::Tensor random_ids(std::int64_t rows, std::int64_t seq) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(5);
  return at::randint(kVocab, {rows, seq}, generator, at::kLong);
}

constexpr double kRounding = 2e-5;  // float32 sums in another order, over logits of about 1

TEST(Dense, TokenByTokenEqualsTheWholePass) {
  for (const auto& config : tiny_models()) {
    const Built built(*config);
    const at::Tensor ids = random_ids(2, 17), whole = built.logits(ids, nullptr).view({2, 17, kVocab});
    nn::KvCache cache = built.model->make_cache(2, 17);
    const at::Tensor prefix = built.logits(ids.narrow(1, 0, 6), &cache).view({2, 6, kVocab});
    EXPECT_LT((prefix - whole.narrow(1, 0, 6)).abs().max().item<double>(), kRounding) << as_hf(*config)["model_type"];
    for (std::int64_t t = 6; t < 17; ++t) {
      const at::Tensor one = built.logits(ids.narrow(1, t, 1), &cache);
      EXPECT_LT((one - whole.select(1, t)).abs().max().item<double>(), kRounding) << as_hf(*config)["model_type"] << " token " << t;
    }
  }
}

TEST(Dense, WhatStandsAtMaskedPlacesDoesNotMatter) {
  for (const auto& config : tiny_models()) {
    const Built built(*config);
    at::Tensor ids = random_ids(2, 12), mask = at::ones({2, 12}, at::kBool);
    mask[0].narrow(0, 0, 4).fill_(false);   // padding at the left
    mask[1].narrow(0, 9, 3).fill_(false);   // and at the right
    const auto real = [&](const at::Tensor& logits) { return logits.index_select(0, mask.view(-1).nonzero().view(-1)); };
    const at::Tensor before = real(built.logits(ids, nullptr, mask));
    ids = at::where(mask, ids, (ids + 7) % kVocab);
    EXPECT_TRUE(at::equal(real(built.logits(ids, nullptr, mask)), before)) << as_hf(*config)["model_type"];
    EXPECT_TRUE(at::isfinite(before).all().item<bool>());
  }
}

TEST(Dense, ConfigsSurviveHfsConfigJson) {
  for (const auto& config : tiny_models()) {
    const Json written = as_hf(*config);
    auto again = find_architecture(written["model_type"], "test").make_config();
    again->read_hf(written, "config.json");
    EXPECT_EQ(as_hf(*again), written);
    EXPECT_EQ(complaints(*again), "") << written["model_type"];
  }
}

TEST(Dense, ASequenceOfOneTokenHasLogits) {
  for (const auto& config : tiny_models()) {
    EXPECT_TRUE(at::isfinite(Built(*config).logits(random_ids(1, 1), nullptr)).all().item<bool>()) << as_hf(*config)["model_type"];
  }
}

TEST(Qwen, TheWindowIsIdleUnlessUsedAndThenBeginsAtItsLayer) {
  Qwen2Config config = decoder<Qwen2Config>(kTiny);
  config.sliding_window = 7;
  config.max_window_layers = 2;
  EXPECT_EQ(config.sizes().windows, (std::vector<std::int64_t>{0, 0, 0}));
  config.use_sliding_window = true;
  EXPECT_EQ(config.sizes().windows, (std::vector<std::int64_t>{0, 0, 7}));
  config.layer_types = {"sliding_attention", "full_attention", "full_attention"};
  EXPECT_EQ(config.sizes().windows, (std::vector<std::int64_t>{7, 0, 0}));
  config.use_sliding_window = false;
  EXPECT_NE(complaints(config).find("sliding"), std::string::npos);
}

TEST(Gemma2, WindowsComeInTurnBeginningWithOne) {
  Gemma2Config config = decoder<Gemma2Config>(kTiny);
  config.sliding_window = 9;
  std::vector<std::int64_t> windows;
  for (const nn::AttentionOptions& options : config.sizes().attention) windows.push_back(options.window);
  EXPECT_EQ(windows, (std::vector<std::int64_t>{9, 0, 9}));
}

// 55.4256 in float32; bf16 has no number between 55.25 and 55.5 next to it.
TEST(Gemma, TheEmbeddingsScaleIsRoundedToItsPrecision) {
  GemmaConfig config = decoder<GemmaConfig>({3, 3072, 1, 1, 1, 2, 1});
  for (const auto& [dtype, scale] : {std::pair{at::kFloat, 55.42562584f}, {at::kBFloat16, 55.5f}}) {
    nn::ParameterStore store(parameter_specs(config.tensor_table()));
    for (nn::Parameter& parameter : store.all()) parameter.value = at::ones(parameter.spec.shape, at::dtype(dtype));
    const nn::ForwardContext context{{1, 1, {}, {}, {}}, nn::local_seams()};
    EXPECT_EQ(config.build(store)->embed(at::zeros({1}, at::kLong), context)[0][0].item<float>(), scale);
  }
}

TEST(GptNeox, RotationIsReadUnderEveryName) {
  Json config = as_hf(GptNeoxConfig());
  config["rotary_pct"] = config["partial_rotary_factor"] = config["rope_parameters"]["partial_rotary_factor"] = 0.5;
  config["rotary_emb_base"] = config["rope_theta"] = config["rope_parameters"]["rope_theta"] = 5000;
  const std::vector<std::vector<const char*>> absent{{}, {"rope_parameters"}, {"rotary_pct", "rotary_emb_base", "partial_rotary_factor", "rope_theta"},
                                                     {"rope_parameters", "partial_rotary_factor", "rope_theta"}};
  for (const auto& keys : absent) {
    Json fewer = config;
    for (const char* key : keys) fewer.erase(key);
    GptNeoxConfig read;
    read.read_hf(fewer, "config.json");
    EXPECT_EQ(read.rotary_pct, 0.5);
    EXPECT_EQ(read.rotary_emb_base, 5000);
  }
  config["rotary_pct"] = 0.25;
  EXPECT_THROW(GptNeoxConfig().read_hf(config, "config.json"), Error);
}

TEST(Dense, ImpossibleSizesAreViolationsThatNameTheSetting) {
  const auto says = [](const ModelConfig& config, const char* setting) { return complaints(config).find(setting) != std::string::npos; };
  LlamaConfig llama = decoder<LlamaConfig>({61, 30, 2, 4, 2, 8, 20});
  EXPECT_TRUE(says(llama, "hidden_size"));  // transformers refuses it too
  MistralConfig mistral;
  mistral.sliding_window = 0;
  EXPECT_TRUE(says(mistral, "sliding_window"));
  Qwen3Config qwen3;
  qwen3.layer_types = {"full_attention"};
  EXPECT_TRUE(says(qwen3, "layer_types"));
  Gemma2Config gemma2;
  gemma2.attn_logit_softcapping = -1;
  gemma2.query_pre_attn_scalar = 0;
  EXPECT_TRUE(says(gemma2, "query_pre_attn_scalar"));
  gemma2.query_pre_attn_scalar = 256;
  EXPECT_TRUE(says(gemma2, "attn_logit_softcapping"));
  gemma2.sliding_window.reset();
  EXPECT_TRUE(says(gemma2, "sliding_window"));
  Gpt2Config gpt2;
  gpt2.n_head = 7;
  EXPECT_TRUE(says(gpt2, "n_head"));
  gpt2.n_embd = std::numeric_limits<std::int64_t>::max();
  EXPECT_TRUE(says(gpt2, "n_embd"));
  GptNeoxConfig neox;
  neox.rotary_pct = 0.01;
  EXPECT_TRUE(says(neox, "rotary_pct"));
  neox.num_attention_heads = 0;
  EXPECT_TRUE(says(neox, "num_attention_heads"));
}

TEST(Gpt2, BuffersOfOlderFilesAreNoParameters) {
  const Gpt2Config config;
  for (const char* buffer : {"h.0.attn.bias", "transformer.h.11.attn.masked_bias", "lm_head.weight"}) EXPECT_TRUE(config.ignores(buffer)) << buffer;
  EXPECT_FALSE(config.ignores("transformer.h.0.attn.c_attn.bias"));
  const GptNeoxConfig neox;
  for (const char* buffer : {"attention.bias", "attention.masked_bias", "attention.rotary_emb.inv_freq"}) {
    EXPECT_TRUE(neox.ignores(std::string("gpt_neox.layers.3.") + buffer)) << buffer;
  }
  EXPECT_FALSE(neox.ignores("gpt_neox.layers.3.attention.dense.bias"));
}

}  // namespace
}  // namespace sluice::models
