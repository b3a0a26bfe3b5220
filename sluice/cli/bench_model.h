// The benchmark model and the flags that size it: a Mixtral of 214 M parameters on 4 rows of 512 random tokens.
#pragma once
#include <chrono>
#include <cstdint>

#include "sluice/base/json.h"
#include "sluice/cli/command.h"
#include "sluice/models/mixtral/config.h"
#include "sluice/nn/parameter.h"
#include "sluice/parallel/recompute.h"

namespace sluice::cli {

struct Benchmark {
  std::int64_t hidden = 512, ffn = 1792, layers = 8, experts = 8, topk = 2, vocab = 32000, seq = 512, batch = 4, steps = 4;
  std::int64_t prompt = 512, new_tokens = 128;  // of bench generate
  std::int64_t lora = 0;                        // rank of adapters on attention, which alone are trained; 0 = the whole model
  std::int64_t threads = 0;                     // 0 = as many as there are processors
  nn::Precision precision = nn::Precision::kBfloat16;
  parallel::Recompute recompute = parallel::Recompute::kNone;
  bool json = false;
};

// Which of the flags a benchmark takes besides those of the model.
enum class BenchmarkKind { kTrain, kGenerate };

// Error for an unknown flag, with the nearest known one, and for a value that is no size. Sets the number of threads.
Benchmark parse_benchmark(const Arguments& arguments, BenchmarkKind kind);

models::MixtralConfig model_of(const Benchmark& benchmark);  // checked

double seconds_since(std::chrono::steady_clock::time_point begin);
double rounded(double value, double parts);  // to 1 / parts

// One JSON row, or a line for each key.
void print_row(const OrderedJson& row, const Benchmark& benchmark);

int bench_train(const Arguments& arguments);
int bench_generate(const Arguments& arguments);

}  // namespace sluice::cli
