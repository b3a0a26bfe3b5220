#include <sys/resource.h>

#include <numeric>

#include "sluice/base/rng.h"
#include "sluice/cli/bench_model.h"
#include "sluice/models/lora.h"
#include "sluice/train/step.h"

namespace sluice::cli {
namespace {

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

// As the peers' --lora: adapters on attention, alpha twice the rank.
std::vector<models::LoraTarget> adapters_of(const Benchmark& b, const models::MixtralConfig& config) {
  if (b.lora == 0) return {};
  models::LoraConfig lora;
  lora.rank = b.lora;
  lora.alpha = 2 * static_cast<double>(b.lora);
  Violations none;
  return models::lora_targets(config.tensor_table(), lora, none);
}

}  // namespace

int bench_train(const Arguments& arguments) {
  const Benchmark b = parse_benchmark(arguments, BenchmarkKind::kTrain);
  const models::MixtralConfig config = model_of(b);
  const std::vector<models::LoraTarget> adapters = adapters_of(b, config);
  auto specs = models::parameter_specs(config.tensor_table());
  std::ranges::copy(models::parameter_specs(adapters), std::back_inserter(specs));
  nn::ParameterStore store(specs);
  store.allocate_for_training(b.precision, [&](const std::string& name) { return !adapters.empty() && name.find(".lora_") == std::string::npos; });
  store.initialise(0, config.initializer_range);
  models::attach(store, adapters, nullptr);
  const auto model = config.build(store);
  optim::OptimizerConfig settings;
  settings.lr = 1e-4;
  optim::AdamW optimizer(settings, store);
  train::StepConfig step_config;
  step_config.objective.aux_coef = config.router_aux_loss_coef;
  step_config.activations = b.recompute;
  const dist::Mesh alone = dist::single_process_mesh();
  const parallel::Holders holders(alone, [&](const dist::Place&) { return specs; }, parallel::Zero::kNone);
  parallel::SharedParameters shared(holders, store);
  std::vector<std::int64_t> mixtures(static_cast<std::size_t>(config.num_hidden_layers));
  std::iota(mixtures.begin(), mixtures.end(), 0);
  const parallel::Stages stages({}, config.num_hidden_layers, mixtures, config.num_local_experts);
  const parallel::LayoutSeams seams(alone, stages, {});
  train::Step step(step_config, {*model, alone, seams, stages, config.hidden_size}, store, optimizer, shared);

  const std::vector<data::Batch> batch{random_batch(b)};
  double first = 0, best = 0, loss = 0;
  for (std::int64_t i = 0; i <= b.steps; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const train::StepResult result = step.gradients(batch);
    step.update(settings.lr, result.grad_norm);
    const double seconds = seconds_since(begin);
    loss = result.losses.loss;
    if (i == 0) first = seconds;
    if (i == 1 || (i > 1 && seconds < best)) best = seconds;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double tokens = static_cast<double>(b.batch * b.seq), flops = 3 * config.cost(b.seq).forward_flops_per_token * tokens;
  const OrderedJson row{{"what", b.lora > 0 ? "train-lora" + std::to_string(b.lora) : "train"},
                        {"variant", "sluice " + std::string(b.precision == nn::Precision::kFloat32 ? "float32" : "bfloat16")},
                        {"params", store.num_elements()},
                        {"trainable", store.num_trainable()},
                        {"first_s", rounded(first, 100)},
                        {"best_s", rounded(best, 1000)},
                        {"tok_s", rounded(tokens / best, 10)},
                        {"gflops", rounded(flops / best / 1e9, 10)},
                        {"loss", loss},
                        {"peak_gb", rounded(static_cast<double>(usage.ru_maxrss) * 1024 / 1e9, 100)}};
  print_row(row, b);
  return 0;
}

}  // namespace sluice::cli
