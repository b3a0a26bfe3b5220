// GFLOP/s of each CPU kernel at the benchmark model's sizes (SPEED: 2,048 tokens, hidden 512, ffn 1792, 8 experts top 2, 8 heads of 64, 2
// of them keys, vocabulary 32000). Best of several runs, since others may use the machine: kernels_bench [runs]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <vector>

#include "sluice/base/rng.h"
#include "sluice/kernels/cpu/adamw.h"
#include "sluice/kernels/cpu/attention.h"
#include "sluice/kernels/cpu/cpu_features.h"
#include "sluice/kernels/cpu/experts.h"
#include "sluice/kernels/cpu/head_loss.h"
#include "sluice/kernels/cpu/linear.h"
#include "sluice/kernels/cpu/rms_norm.h"
#include "sluice/kernels/cpu/rope.h"
#include "sluice/kernels/cpu/sum_of_squares.h"

namespace sluice::kernels::cpu {
namespace {

constexpr std::int64_t kTokens = 2048, kHidden = 512;

std::vector<Bf16> random_bf16(std::int64_t n, std::uint64_t seed, double scale) {
  Rng rng(seed, 0);
  std::vector<Bf16> out(static_cast<std::size_t>(n));
  for (Bf16& x : out) x = to_bf16(static_cast<float>((rng.uniform() * 2 - 1) * scale));
  return out;
}
std::vector<float> floats(std::int64_t n, float value) { return std::vector<float>(static_cast<std::size_t>(n), value); }

class Bench {
 public:
  explicit Bench(int runs) : runs_(runs) {
    std::printf("%-34s %10s %10s %-8s %s\n", "kernel", "ms", "rate", "", "rate a second of CPU time");
  }
  Workspace workspace;

  // `amount` is what `unit` counts, in 1e9.
  void report(const char* name, double amount, const char* unit, const std::function<void()>& work) const {
    double best = 1e30, best_cpu = 1e30;
    for (int i = 0; i < runs_ + 1; ++i) {  // the first run also touches the memory
      const std::clock_t cpu_start = std::clock();
      const auto start = std::chrono::steady_clock::now();
      work();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      const double cpu = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
      if (i > 0 && took.count() < best) best = took.count();
      if (i > 0 && cpu > 0 && cpu < best_cpu) best_cpu = cpu;
    }
    std::printf("%-34s %10.2f %10.1f %-8s %.1f\n", name, best * 1e3, amount / best, unit, amount / best_cpu);
    std::fflush(stdout);
  }

 private:
  int runs_;
};

void bench_linear(Bench& bench, const char* name, std::int64_t in, std::int64_t out) {
  const LinearShape shape{kTokens, in, out};
  const auto x = random_bf16(kTokens * in, 1, 1), w = random_bf16(in * out, 2, 0.05), dy = random_bf16(kTokens * out, 3, 1);
  std::vector<Bf16> y(dy.size()), dx(x.size());
  auto dw = floats(in * out, 0);
  const double gflop = 2e-9 * static_cast<double>(kTokens * in * out);
  std::printf("%s\n", name);
  bench.report("  forward", gflop, "GFLOP/s", [&] { linear_forward(shape, x.data(), w.data(), y.data(), bench.workspace); });
  bench.report("  input gradient", gflop, "GFLOP/s",
               [&] { linear_input_gradient(shape, dy.data(), w.data(), dx.data(), bench.workspace); });
  bench.report("  weight gradient", gflop, "GFLOP/s",
               [&] { linear_weight_gradient(shape, dy.data(), x.data(), dw.data(), bench.workspace); });
}

void bench_norm(Bench& bench) {
  const std::int64_t n = kTokens * kHidden;
  const auto x = floats(n, 0.5f), w = floats(kHidden, 1);
  const auto dy = random_bf16(n, 4, 1);
  std::vector<Bf16> y(dy.size());
  auto dx = floats(n, 0), dw = floats(kHidden, 0), rstd = floats(kTokens, 1);
  std::printf("rms_norm\n");
  bench.report("  forward", 6e-9 * static_cast<double>(n), "GB/s",
               [&] { rms_norm_forward(kTokens, kHidden, 1e-5f, x.data(), w.data(), y.data(), rstd.data(), bench.workspace); });
  bench.report("  backward", 14e-9 * static_cast<double>(n), "GB/s", [&] {
    rms_norm_backward(kTokens, kHidden, dy.data(), x.data(), rstd.data(), w.data(), WriteMode::kAdd, dx.data(), dw.data(), bench.workspace);
  });
}

void bench_experts(Bench& bench) {
  const ExpertsShape shape{kTokens, 2, 2 * kTokens, 8, kHidden, 1792};
  std::vector<std::int32_t> row_token, position(static_cast<std::size_t>(shape.slots));
  std::vector<std::int64_t> offsets = {0};
  for (std::int64_t e = 0; e < shape.experts; ++e) {  // token t goes to experts t mod 8 and (t / 8) mod 8, or the next where both are one
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const std::int64_t a = t % 8, b = t / 8 % 8 == a ? (a + 1) % 8 : t / 8 % 8;
      if (a != e && b != e) continue;
      position[static_cast<std::size_t>(2 * t + (b == e ? 1 : 0))] = static_cast<std::int32_t>(row_token.size());
      row_token.push_back(static_cast<std::int32_t>(t));
    }
    offsets.push_back(static_cast<std::int64_t>(row_token.size()));
  }
  const auto row_weight = floats(shape.slots, 0.5f);
  const ExpertRows rows{row_token.data(), offsets.data(), row_weight.data(), position.data()};
  const std::int64_t down = shape.experts * kHidden * shape.ffn;
  const auto hidden = random_bf16(kTokens * kHidden, 5, 1), w_gate_up = random_bf16(2 * down, 6, 0.05), w_down = random_bf16(down, 7, 0.05);
  const auto dout = random_bf16(kTokens * kHidden, 8, 1);
  std::vector<Bf16> gate_up(static_cast<std::size_t>(shape.slots * 2 * shape.ffn)), y(static_cast<std::size_t>(shape.slots * kHidden));
  auto out = floats(kTokens * kHidden, 0), dweight = floats(shape.slots, 0), dhidden = out, dw_gate_up = floats(2 * down, 0),
       dw_down = floats(down, 0);
  const double gflop = 6e-9 * static_cast<double>(shape.slots * kHidden * shape.ffn);
  const ExpertsGradients all{dweight.data(), dhidden.data(), dw_gate_up.data(), dw_down.data()};
  std::printf("experts\n");
  bench.report("  forward", gflop, "GFLOP/s", [&] {
    experts_forward(shape, rows, hidden.data(), w_gate_up.data(), w_down.data(), gate_up.data(), y.data(), bench.workspace);
    experts_combine(shape, rows, y.data(), out.data(), out.data(), bench.workspace);
  });
  bench.report("  backward", 2 * gflop, "GFLOP/s", [&] {
    experts_backward(shape, rows, dout.data(), hidden.data(), gate_up.data(), w_gate_up.data(), w_down.data(), all, bench.workspace);
  });
}

void bench_attention(Bench& bench) {
  const AttentionShape shape{4, 512, 8, 2, 64, 0.125f};
  const HeadStrides q_strides = contiguous_heads(512, 8, 64), kv_strides = contiguous_heads(512, 2, 64);
  const std::int64_t q_size = kTokens * 512, kv_size = kTokens * 128;
  const auto q = random_bf16(q_size, 1, 1), k = random_bf16(kv_size, 2, 1), v = random_bf16(kv_size, 3, 1),
             dout = random_bf16(q_size, 4, 1);
  std::vector<Bf16> out(q.size()), dq(q.size()), dk(k.size()), dv(k.size());
  auto lse = floats(kTokens * 8, 0);
  const double gflop = 2e-9 * static_cast<double>(4 * 8 * 512 * 512 * 64);  // the visible half of two products
  std::printf("attention\n");
  bench.report("  forward", gflop, "GFLOP/s", [&] {
    attention_forward(shape, {q.data(), q_strides}, {k.data(), kv_strides}, {v.data(), kv_strides}, {out.data(), q_strides}, lse.data(),
                      bench.workspace);
  });
  const AttentionSaved saved{{q.data(), q_strides}, {k.data(), kv_strides}, {v.data(), kv_strides}, {out.data(), q_strides}, lse.data()};
  bench.report("  backward", 2.5 * gflop, "GFLOP/s", [&] {
    attention_backward(shape, saved, {dout.data(), q_strides}, {dq.data(), q_strides}, {dk.data(), kv_strides}, {dv.data(), kv_strides},
                       bench.workspace);
  });
  const auto table = floats(512 * 32, 0.6f);
  std::vector<std::int64_t> position(static_cast<std::size_t>(kTokens), 7);
  bench.report("  rope of q", 4e-9 * static_cast<double>(q_size), "GB/s", [&] {
    rope_inplace({kTokens, 8, 64, 64}, table.data(), table.data(), position.data(), RopeDirection::kForward, dq.data(), bench.workspace);
  });
}

void bench_head_loss(Bench& bench) {
  constexpr std::int64_t kVocab = 32000;
  const auto x = random_bf16(kTokens * kHidden, 1, 1), w = random_bf16(kVocab * kHidden, 2, 0.05);
  std::vector<std::int64_t> labels;
  for (std::int64_t t = 0; t < kTokens; ++t) labels.push_back(t * 37 % kVocab);
  std::vector<Bf16> dx(x.size());
  auto dw = floats(kVocab * kHidden, 0);
  const double gflop = 2e-9 * static_cast<double>(kTokens * kHidden * kVocab);
  const HeadLossInput input{kTokens, kHidden, kVocab, x.data(), w.data(), labels.data(), 1.0f / 2048};
  std::printf("head and cross entropy\n");
  bench.report("  loss alone", gflop, "GFLOP/s", [&] { head_loss(input, {}, bench.workspace); });
  bench.report("  loss and gradients", 3 * gflop, "GFLOP/s", [&] {
    head_loss(input, {dx.data(), nullptr, dw.data(), nullptr}, bench.workspace);
  });
}

void bench_optimizer(Bench& bench) {
  constexpr std::int64_t kSize = 32 << 20;
  auto master = floats(kSize, 1), m = floats(kSize, 0.1f), v = floats(kSize, 0.1f);
  const auto grad = floats(kSize, 0.01f);
  std::vector<Bf16> compute(master.size());
  AdamwSettings settings;
  settings.lr = 1e-4;
  std::printf("optimizer, 32 M parameters\n");
  bench.report("  adamw", 30e-9 * kSize, "GB/s",
               [&] { adamw_step(settings, kSize, master.data(), m.data(), v.data(), grad.data(), compute.data()); });
  double sum = 0;
  bench.report("  sum of squares", 4e-9 * kSize, "GB/s", [&] { sum += sum_of_squares(grad.data(), kSize); });
}

int run(int runs) {
  if (!has_avx512_bf16()) {
    std::printf("this CPU has no AVX512_BF16\n");
    return 0;
  }
  Bench bench(runs);
  bench_attention(bench);
  bench_linear(bench, "qkv 512 -> 768", kHidden, 768);
  bench_linear(bench, "up 512 -> 3584", kHidden, 3584);
  bench_linear(bench, "head 512 -> 32000", kHidden, 32000);
  bench_norm(bench);
  bench_experts(bench);
  bench_head_loss(bench);
  bench_optimizer(bench);
  return 0;
}

}  // namespace
}  // namespace sluice::kernels::cpu

int main(int argc, char** argv) { return sluice::kernels::cpu::run(argc > 1 ? std::atoi(argv[1]) : 5); }
