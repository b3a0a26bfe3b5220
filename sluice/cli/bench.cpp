#include "sluice/cli/bench.h"

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/base/rng.h"
#include "sluice/cli/arguments.h"
#include "sluice/models/mixtral/config.h"
#include "sluice/train/step.h"

namespace sluice::cli {
namespace {

using Clock = std::chrono::steady_clock;

// The benchmark model and its batch: a Mixtral of 214 M parameters on 4 rows of 512 random tokens.
struct Benchmark {
  std::int64_t hidden = 512, ffn = 1792, layers = 8, experts = 8, topk = 2, vocab = 32000, seq = 512, batch = 4, steps = 4;
  std::int64_t threads = 0;  // 0 = as many as there are processors
  nn::Precision precision = nn::Precision::kBfloat16;
  parallel::Recompute recompute = parallel::Recompute::kNone;
  bool json = false;

  void fields(auto&& field) {
    field("hidden", hidden, "");
    field("ffn", ffn, "");
    field("layers", layers, "");
    field("experts", experts, "");
    field("topk", topk, "");
    field("vocab", vocab, "");
    field("seq", seq, "");
    field("batch", batch, "");
    field("steps", steps, "");
    field("threads", threads, "");
  }
};

Benchmark parse(const Arguments& arguments) {
  Benchmark benchmark;
  std::vector<std::string> known{"--json", "--dtype", "--recompute"};
  benchmark.fields([&](const char* name, auto&, const char*) { known.push_back("--" + std::string(name)); });
  const Arguments words = normalised(arguments);
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto value = [&]() -> const std::string& {
      if (i + 1 == words.size()) throw Error(words[i] + " needs a value", "write " + words[i] + " VALUE");
      return words[++i];
    };
    const std::string flag = words[i];
    bool matched = true;
    if (flag == "--json") benchmark.json = true;
    else if (flag == "--recompute") benchmark.recompute = parallel::Recompute::kFull;
    else if (flag == "--dtype") {
      const std::string& dtype = value();
      if (dtype != "bfloat16" && dtype != "float32" && dtype != "bf16" && dtype != "fp32") throw Error("--dtype " + dtype + " is not a precision", "use bfloat16 or float32");
      benchmark.precision = dtype[0] == 'b' ? nn::Precision::kBfloat16 : nn::Precision::kFloat32;
    } else {
      matched = false;
      benchmark.fields([&](const char* name, std::int64_t& field, const char*) {
        if (flag != "--" + std::string(name)) return;
        matched = true;
        const std::string& text = value();
        if (!config::parse_scalar(text, field).empty() || field < 1) throw Error(flag + " " + text + " is not a size", "give a whole number of at least 1");
      });
    }
    if (!matched) throw Error("unknown flag " + flag, "did you mean " + nearest(flag, known) + "?");
  }
  return benchmark;
}

models::MixtralConfig model_of(const Benchmark& b) {
  models::MixtralConfig config;
  config.vocab_size_ = b.vocab;
  config.hidden_size = b.hidden;
  config.intermediate_size = b.ffn;
  config.num_hidden_layers = b.layers;
  config.num_attention_heads = std::max<std::int64_t>(1, b.hidden / 64);
  config.num_key_value_heads = std::max<std::int64_t>(1, b.hidden / 256);
  config.num_local_experts = b.experts;
  config.num_experts_per_tok = b.topk;
  config.max_position_embeddings = std::max<std::int64_t>(4096, b.seq);
  config.router_aux_loss_coef = 0.01;
  return config;
}

// Rows of random tokens, each trained on itself as the peers do.
data::Batch random_batch(const Benchmark& b) {
  Rng rng(0, 0xba7c);
  std::vector<data::Sample> samples(static_cast<std::size_t>(b.batch));
  for (data::Sample& sample : samples) {
    for (std::int64_t t = 0; t < b.seq; ++t) sample.ids.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(b.vocab))));
    sample.labels = sample.ids;
    sample.real.assign(sample.ids.size(), 1);
  }
  return data::make_batch(samples, 0);
}

double rounded(double value, double parts) { return std::round(value * parts) / parts; }

int bench_train(const Arguments& arguments) {
  const Benchmark b = parse(arguments);
  if (b.threads > 0) at::set_num_threads(static_cast<int>(b.threads));
  const models::MixtralConfig config = model_of(b);
  Violations violations;
  config.check(violations);
  violations.raise("the benchmark model");
  nn::ParameterStore store(models::parameter_specs(config.tensor_table()));
  store.allocate_for_training(b.precision, [](const std::string&) { return false; });
  store.initialise(0, config.initializer_range);
  const auto model = config.build(store);
  optim::OptimizerConfig settings;
  settings.lr = 1e-4;
  optim::AdamW optimizer(settings, store);
  train::StepConfig step_config;
  step_config.objective.aux_coef = config.router_aux_loss_coef;
  step_config.recompute = b.recompute;
  train::Step step(step_config, *model, store, optimizer, nullptr);

  const std::vector<data::Batch> batch{random_batch(b)};
  double first = 0, best = 0, loss = 0;
  for (std::int64_t i = 0; i <= b.steps; ++i) {
    const auto begin = Clock::now();
    const train::StepResult result = step.gradients(batch);
    step.update(settings.lr, result.grad_norm);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    loss = result.losses.loss;
    if (i == 0) first = seconds;
    if (i == 1 || (i > 1 && seconds < best)) best = seconds;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double tokens = static_cast<double>(b.batch * b.seq), flops = 3 * config.cost(b.seq).forward_flops_per_token * tokens;
  const OrderedJson row{{"what", "train"},
                        {"variant", "sluice " + std::string(b.precision == nn::Precision::kFloat32 ? "float32" : "bfloat16")},
                        {"params", store.num_elements()},
                        {"trainable", store.num_trainable()},
                        {"first_s", rounded(first, 100)},
                        {"best_s", rounded(best, 1000)},
                        {"tok_s", rounded(tokens / best, 10)},
                        {"gflops", rounded(flops / best / 1e9, 10)},
                        {"loss", loss},
                        {"peak_gb", rounded(static_cast<double>(usage.ru_maxrss) * 1024 / 1e9, 100)}};
  if (b.json) {
    std::cout << dump_json(row) << std::endl;
  } else {
    for (const auto& [key, value] : row.items()) std::cout << key << std::string(12 - key.size(), ' ') << value << "\n";
  }
  return 0;
}

}  // namespace

int run_bench(const Arguments& arguments, Log&) {
  const bool help = std::find(arguments.begin(), arguments.end(), "--help") != arguments.end();
  if (!help && !arguments.empty() && arguments[0] == "train") return bench_train(arguments);
  if (help) {
    std::cout << "usage: sluice bench train [--json] [--dtype bfloat16|float32] [--hidden N --ffn N --layers N --experts N --topk N --vocab N --seq N --batch N --steps N --threads N]\n";
    return 0;
  }
  throw Error("sluice bench takes `train`", "sluice bench train --json");
}

}  // namespace sluice::cli
