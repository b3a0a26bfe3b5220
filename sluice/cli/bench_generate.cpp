#include <algorithm>

#include "sluice/base/rng.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/cli/bench_model.h"
#include "sluice/generate/generate.h"

namespace sluice::cli {

// As the peers measure it: greedy, one prompt, the best of three; what the first token takes is the prefill, what the others take beyond
// it the decode.
int bench_generate(const Arguments& arguments) {
  const Benchmark b = parse_benchmark(arguments, BenchmarkKind::kGenerate);
  const models::MixtralConfig config = model_of(b);
  nn::ParameterStore store(models::parameter_specs(config.tensor_table()));
  checkpoint::allocate_for_inference(store, nn::scalar_type(b.precision));
  store.initialise(0, config.initializer_range);
  const auto model = config.build(store);
  const generate::Runnable runnable{*model, config};

  Rng rng(0, 0xba7c);
  std::vector<std::int32_t> prompt(static_cast<std::size_t>(b.prompt));
  for (std::int32_t& id : prompt) id = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(b.vocab)));
  const auto seconds = [&](std::int64_t new_tokens) {
    generate::GenerateOptions options;
    options.max_tokens = new_tokens;
    const auto begin = std::chrono::steady_clock::now();
    generate::generate(runnable, {prompt}, options);
    return seconds_since(begin);
  };
  seconds(4);
  double prefill = 0, total = 0;
  for (int round = 0; round < 3; ++round) {
    const double first = seconds(1), all = seconds(b.new_tokens + 1);
    prefill = round == 0 ? first : std::min(prefill, first);
    total = round == 0 ? all : std::min(total, all);
  }
  print_row({{"what", "generate"},
             {"variant", "sluice " + std::string(b.precision == nn::Precision::kFloat32 ? "float32" : "bfloat16")},
             {"prefill_tok_s", rounded(static_cast<double>(b.prompt) / prefill, 10)},
             {"decode_tok_s", rounded(static_cast<double>(b.new_tokens) / (total - prefill), 100)}}, b);
  return 0;
}

}  // namespace sluice::cli
