// No kernel touches memory outside its arguments. The sanitizers do not see masked vector instructions, so every argument here ends where a
// page without access begins (and, in a second run, starts where one ends): a step too far is a crash.
#include <sys/mman.h>

#include <cstring>
#include <memory>

#include "sluice/kernels/cpu/adamw.h"
#include "sluice/kernels/cpu/attention.h"
#include "sluice/kernels/cpu/convert.h"
#include "sluice/kernels/cpu/experts.h"
#include "sluice/kernels/cpu/head_loss.h"
#include "sluice/kernels/cpu/linear.h"
#include "sluice/kernels/cpu/rms_norm.h"
#include "sluice/kernels/cpu/rope.h"
#include "sluice/kernels/cpu/sum_of_squares.h"
#include "tests/unit/kernels/reference.h"

namespace sluice::kernels::cpu {
namespace {

enum class Side { kBefore, kAfter };  // where the page without access lies

class Bounds : public Bf16KernelTest, public testing::WithParamInterface<Side> {
 protected:
  // `count` elements flush with a page without access.
  template <class T>
  T* guarded(std::int64_t count) {
    constexpr std::size_t kPage = 4096;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T), inside = (bytes + kPage - 1) / kPage * kPage,
                      all = inside + 2 * kPage;
    void* memory = mmap(nullptr, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    maps_.emplace_back(memory, [all](void* p) { munmap(p, all); });
    std::byte* first = static_cast<std::byte*>(memory) + kPage;
    EXPECT_EQ(mprotect(first, inside, PROT_READ | PROT_WRITE), 0);
    return reinterpret_cast<T*>(GetParam() == Side::kAfter ? first + inside - bytes : first);
  }
  Bf16* bf16(std::int64_t count) {
    const auto values = random_bf16(count, 1);
    return copy(values);
  }
  float* floats(std::int64_t count) { return copy(random_floats(count, 2)); }
  template <class T>
  T* copy(const std::vector<T>& values) {
    T* out = guarded<T>(static_cast<std::int64_t>(values.size()));
    if (!values.empty()) std::memcpy(out, values.data(), values.size() * sizeof(T));
    return out;
  }

 private:
  std::vector<std::shared_ptr<void>> maps_;
};

TEST_P(Bounds, AreKeptByTheMachineItself) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  volatile Bf16* p = bf16(9);
  EXPECT_DEATH(p[GetParam() == Side::kAfter ? 9 : -1] = 0, "");
}

TEST_P(Bounds, OfLinear) {
  Workspace workspace;
  for (const LinearShape& s : {LinearShape{7, 33, 65}, {13, 64, 31}, {6, 17, 129}, {1, 1, 1}}) {
    linear_forward(s, bf16(s.rows * s.in), bf16(s.out * s.in), bf16(s.rows * s.out), workspace);
    linear_forward(s, bf16(s.rows * s.in), bf16(s.out * s.in), floats(s.rows * s.out), workspace);
    linear_forward_residual(s, bf16(s.rows * s.in), bf16(s.out * s.in), floats(s.rows * s.out), floats(s.rows * s.out), workspace);
    linear_input_gradient(s, bf16(s.rows * s.out), bf16(s.out * s.in), bf16(s.rows * s.in), workspace);
    linear_input_gradient(s, bf16(s.rows * s.out), bf16(s.out * s.in), floats(s.rows * s.in), workspace);
    linear_weight_gradient(s, bf16(s.rows * s.out), bf16(s.rows * s.in), floats(s.out * s.in), workspace);
  }
}

TEST_P(Bounds, OfExperts) {
  Workspace workspace;
  for (const auto& [hidden, ffn] : {std::pair<std::int64_t, std::int64_t>{33, 37}, {70, 101}, {1, 3}}) {
    const ExpertsShape s{5, 2, 9, 3, hidden, ffn};
    const ExpertRows rows{copy<std::int32_t>({0, 1, 2, 3, 4, 0, 1, 2, 3}), copy<std::int64_t>({0, 5, 5, 9}), floats(s.slots),
                          copy<std::int32_t>({0, 5, 1, 6, 2, 7, 3, 8, 4, -1})};
    const Bf16 *x = bf16(5 * hidden), *w_gate_up = bf16(3 * 2 * ffn * hidden), *w_down = bf16(3 * hidden * ffn);
    Bf16 *gate_up = bf16(s.slots * 2 * ffn), *y = bf16(s.slots * hidden);
    experts_forward(s, rows, x, w_gate_up, w_down, gate_up, y, workspace);
    experts_combine(s, rows, y, floats(5 * hidden), floats(5 * hidden), workspace);
    const ExpertsGradients gradients{floats(s.slots), floats(5 * hidden), floats(3 * 2 * ffn * hidden), floats(3 * hidden * ffn)};
    experts_backward(s, rows, bf16(5 * hidden), x, gate_up, w_gate_up, w_down, gradients, workspace);
    experts_backward(s, rows, floats(5 * hidden), x, gate_up, w_gate_up, w_down, gradients, workspace);
  }
}

TEST_P(Bounds, OfAttention) {
  Workspace workspace;
  for (const std::int64_t seq : {1, 35, 70}) {
    for (const std::int64_t dim : {16, 48, 80}) {
      const AttentionShape s{2, seq, 2, 1, dim, 0.2f, copy<std::int64_t>({seq, seq / 2})};
      const HeadStrides q = contiguous_heads(seq, 2, dim), kv = contiguous_heads(seq, 1, dim);
      const std::int64_t nq = 2 * seq * 2 * dim, nkv = 2 * seq * dim;
      const AttentionSaved saved{{bf16(nq), q}, {bf16(nkv), kv}, {bf16(nkv), kv}, {bf16(nq), q}, floats(2 * 2 * seq)};
      attention_forward(s, saved.q, saved.k, saved.v, {bf16(nq), q}, floats(2 * 2 * seq), workspace);
      attention_backward(s, saved, {bf16(nq), q}, {bf16(nq), q}, {bf16(nkv), kv}, {bf16(nkv), kv}, workspace);
    }
  }
}

TEST_P(Bounds, OfHeadLoss) {
  Workspace workspace;
  for (const std::int64_t vocab : {1, 33, 131}) {
    const HeadLossInput input{3, 19, vocab, bf16(3 * 19), bf16(vocab * 19), copy<std::int64_t>({0, kIgnoredLabel, vocab - 1})};
    head_loss(input, {bf16(3 * 19), nullptr, floats(vocab * 19), floats(3)}, workspace);
    head_loss(input, {nullptr, floats(3 * 19), nullptr, nullptr}, workspace);
  }
}

TEST_P(Bounds, OfTheKernelsThatGoRowByRow) {
  Workspace workspace;
  for (const std::int64_t n : {1, 15, 17, 63}) {
    rms_norm_forward(3, n, 1e-5f, floats(3 * n), bf16(n), bf16(3 * n), floats(3), workspace);
    rms_norm_backward(3, n, bf16(3 * n), floats(3 * n), floats(3), bf16(n), WriteMode::kAdd, floats(3 * n), floats(n), workspace);
    rms_norm_backward(3, n, floats(3 * n), floats(3 * n), floats(3), floats(n), WriteMode::kReplace, floats(3 * n), floats(n), workspace);
    round_to_bf16(n, floats(n), bf16(n), workspace);
    widen_to_float(n, bf16(n), floats(n), workspace);
    adamw_step({}, n, floats(n), floats(n), floats(n), floats(n), bf16(n));
    EXPECT_GT(sum_of_squares(floats(n), n), 0);
    const RopeShape rope{2, 3, 2 * n, 2 * n};
    rope_inplace(rope, floats(4 * n), floats(4 * n), copy<std::int64_t>({3, 0}), RopeDirection::kForward, bf16(12 * n), workspace);
  }
}

INSTANTIATE_TEST_SUITE_P(Pages, Bounds, testing::Values(Side::kBefore, Side::kAfter),
                         [](const auto& side) { return side.param == Side::kBefore ? "before" : "after"; });

}  // namespace
}  // namespace sluice::kernels::cpu
