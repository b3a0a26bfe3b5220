#include "sluice/cli/bench_model.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/cli/arguments.h"
#include "sluice/config/value.h"

namespace sluice::cli {
namespace {

std::vector<std::pair<std::string, std::int64_t*>> sizes_of(Benchmark& b, BenchmarkKind kind) {
  std::vector<std::pair<std::string, std::int64_t*>> out{{"--hidden", &b.hidden}, {"--ffn", &b.ffn},     {"--layers", &b.layers}, {"--experts", &b.experts},
                                                         {"--topk", &b.topk},     {"--vocab", &b.vocab}, {"--threads", &b.threads}};
  if (kind == BenchmarkKind::kTrain) out.insert(out.end(), {{"--seq", &b.seq}, {"--batch", &b.batch}, {"--steps", &b.steps}, {"--lora", &b.lora}});
  else out.insert(out.end(), {{"--prompt", &b.prompt}, {"--new", &b.new_tokens}});
  return out;
}

nn::Precision precision_of(const std::string& text) {
  if (text == "bfloat16" || text == "bf16") return nn::Precision::kBfloat16;
  if (text == "float32" || text == "fp32") return nn::Precision::kFloat32;
  throw Error("--dtype " + text + " is not a precision", "use bfloat16 or float32");
}

}  // namespace

Benchmark parse_benchmark(const Arguments& arguments, BenchmarkKind kind) {
  Benchmark benchmark;
  const auto sizes = sizes_of(benchmark, kind);
  std::vector<std::string> known{"--json", "--dtype"};
  if (kind == BenchmarkKind::kTrain) known.emplace_back("--recompute");
  for (const auto& [name, size] : sizes) known.push_back(name);
  const Arguments words = normalised(arguments);
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string flag = words[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == words.size()) throw Error(flag + " needs a value", "write " + flag + " VALUE");
      return words[++i];
    };
    const auto size = std::ranges::find(sizes, flag, &std::pair<std::string, std::int64_t*>::first);
    if (size != sizes.end()) {
      const std::string& text = value();
      if (!config::parse_scalar(text, *size->second).empty() || *size->second < 1) throw Error(flag + " " + text + " is not a size", "give a whole number of at least 1");
    } else if (std::ranges::find(known, flag) == known.end()) {
      throw Error("unknown flag " + flag, did_you_mean(flag, known) + "the flags are " + join_or(known));
    } else if (flag == "--dtype") {
      benchmark.precision = precision_of(value());
    } else if (flag == "--recompute") {
      benchmark.recompute = parallel::Recompute::kFull;
    } else {
      benchmark.json = true;
    }
  }
  if (benchmark.threads > 0) at::set_num_threads(static_cast<int>(benchmark.threads));
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
  config.max_position_embeddings = std::max({std::int64_t{4096}, b.seq, b.prompt + b.new_tokens});
  config.router_aux_loss_coef = 0.01;
  Violations violations;
  config.check(violations);
  violations.raise("the benchmark model");
  return config;
}

double seconds_since(std::chrono::steady_clock::time_point begin) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }

double rounded(double value, double parts) { return std::round(value * parts) / parts; }

void print_row(const OrderedJson& row, const Benchmark& benchmark) {
  if (benchmark.json) {
    std::cout << dump_json(row) << std::endl;
    return;
  }
  for (const auto& [key, value] : row.items()) std::cout << key << std::string(16 - key.size(), ' ') << value << "\n";
}

}  // namespace sluice::cli
