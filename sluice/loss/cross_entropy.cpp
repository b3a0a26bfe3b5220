#include "sluice/loss/cross_entropy.h"

#include <limits>

#include "sluice/base/error.h"
#include "sluice/kernels/cpu/head_loss.h"
#include "sluice/nn/raw.h"

namespace sluice::loss {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kChunkRows = 512;  // 33 MB of bf16 logits at 32,000 tokens; SPEED: 512 to 1024 are equally fast

enum class Want { kLoss, kLossAndGradients };

// Of the logits of each row [n, rows of this rank] and their labels [n, 1]: log softmax, and its sum over the labels. All ranks of the head's
// region work together.
struct LogSoftmax {
  at::Tensor log_probability;  // [n, rows of this rank]
  at::Tensor label, is_here;   // [n, 1]: the label's column among them, 0 where another rank has it; which it says
  at::Tensor of_label;         // [n, 1]
};

LogSoftmax log_softmax(const at::Tensor& logits, const at::Tensor& label, const nn::Head& head) {
  if (head.weight.spec.is_whole()) {
    LogSoftmax out{at::log_softmax(logits, 1), label, {}, {}};
    out.of_label = out.log_probability.gather(1, label);
    return out;
  }
  const std::int64_t rows = logits.size(1);
  const at::Tensor own = label - head.first_row(), is_here = at::logical_and(own >= 0, own < rows);
  const at::Tensor column = own.masked_fill(at::logical_not(is_here), 0);
  const at::Tensor top = rows > 0 ? logits.amax(1, /*keepdim=*/true) : at::full({logits.size(0), 1}, -std::numeric_limits<float>::infinity());
  head.region->max(top);
  const at::Tensor shifted = logits - top, sum = shifted.exp().sum(1, /*keepdim=*/true);
  head.region->sum(sum);
  const at::Tensor log_probability = shifted - sum.log();
  const at::Tensor of_label = rows > 0 ? log_probability.gather(1, column) * is_here : at::zeros({logits.size(0), 1});
  head.region->sum(of_label);
  return {log_probability, column, is_here, of_label};
}

// ATen, chunk by chunk. Fills dx and adds to head.grad where gradients are wanted.
double by_chunks(const at::Tensor& x, const nn::Head& head, const at::Tensor& labels, double scale, Want want, at::Tensor& dx) {
  const at::Tensor w = head.weight.value.detach();
  double total = 0;
  for (std::int64_t begin = 0; begin < x.size(0); begin += kChunkRows) {
    const std::int64_t n = std::min(kChunkRows, x.size(0) - begin);
    const at::Tensor chunk = x.narrow(0, begin, n), label = labels.narrow(0, begin, n).unsqueeze(1);
    at::Tensor logits = at::linear(chunk, w).to(at::kFloat), tanh;
    if (head.softcap > 0) logits = (tanh = at::tanh(logits / head.softcap)) * head.softcap;
    const LogSoftmax found = log_softmax(logits, label, head);
    total -= found.of_label.sum(at::kDouble).item<double>();
    if (want == Want::kLoss) continue;
    at::Tensor d_logits = found.log_probability.exp_();
    const at::Tensor minus_one = at::full({n, 1}, -1.0, d_logits.options());
    if (d_logits.size(1) > 0) d_logits.scatter_add_(1, found.label, found.is_here.defined() ? minus_one * found.is_here : minus_one);
    if (head.softcap > 0) d_logits.mul_(1 - tanh.square());
    d_logits = d_logits.mul_(scale).to(w.scalar_type());
    dx.narrow(0, begin, n).copy_(at::mm(d_logits, w));
    if (head.weight.trainable()) nn::add_weight_gradient(d_logits, chunk, head.weight.grad);
  }
  return total;
}

double by_kernel(const at::Tensor& x, const nn::Head& head, const at::Tensor& labels, double scale, Want want, at::Tensor& dx) {
  kernels::cpu::HeadLossInput input;
  input.rows = x.size(0);
  input.hidden = x.size(1);
  input.vocab = head.weight.value.size(0);
  input.x = nn::raw_bf16(x);
  input.w = nn::raw_bf16(head.weight.value);
  input.labels = labels.data_ptr<std::int64_t>();
  input.scale = static_cast<float>(scale);
  input.chunk_rows = kChunkRows;
  kernels::cpu::HeadLossOutput output;
  if (want == Want::kLossAndGradients) {
    output.dx = nn::raw_bf16(dx);
    output.dw = nn::raw_float(head.weight.grad);
  }
  return kernels::cpu::head_loss(input, output, nn::workspace());
}

struct CrossEntropyFunction : torch::autograd::Function<CrossEntropyFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor&, const nn::Head* head, const at::Tensor& labels,
                            double scale, Want want) {
    at::Tensor dx = want == Want::kLoss ? at::Tensor() : at::empty_like(x);
    const bool fits = head->softcap == 0 && head->weight.spec.is_whole() && nn::use_cpu_kernels(x);
    const double total = (fits ? by_kernel : by_chunks)(x, *head, labels, scale, want, dx);
    context->save_for_backward({dx});
    return at::scalar_tensor(total * scale, at::kDouble);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    SLUICE_CHECK(gradients[0].item<double>() == 1.0, "cross_entropy is a term of the total loss as it stands; scale it through its argument");
    return {context->get_saved_variables()[0], {}, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor shift_labels(const at::Tensor& labels) {
  at::Tensor shifted = at::full_like(labels, kIgnored);
  shifted.narrow(1, 0, labels.size(1) - 1).copy_(labels.narrow(1, 1, labels.size(1) - 1));
  return shifted.view({-1});
}

at::Tensor cross_entropy(const at::Tensor& before, const nn::Head& head, const at::Tensor& labels, double scale) {
  if (head.pipeline && !head.pipeline->holds(head.blocks)) return head.pipeline->from_holder(head.blocks, {});
  const at::Tensor hidden = head.entered(before);
  const at::Tensor counted = at::nonzero(labels != kIgnored).view({-1});
  const bool all = counted.numel() == labels.numel();
  const at::Tensor x = all ? hidden.contiguous() : hidden.index_select(0, counted), y = all ? labels.contiguous() : labels.index_select(0, counted);
  const bool gradients = at::GradMode::is_enabled() && (x.requires_grad() || head.weight.trainable());
  const at::Tensor loss = CrossEntropyFunction::apply(x, head.weight.value, &head, y, scale, gradients ? Want::kLossAndGradients : Want::kLoss);
  return head.pipeline ? head.pipeline->from_holder(head.blocks, loss) : loss;
}

}  // namespace sluice::loss
