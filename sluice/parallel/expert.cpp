#include "sluice/parallel/expert.h"

#include <ATen/ATen.h>

#include <numeric>

#include "sluice/nn/experts.h"
#include "sluice/nn/router.h"
#include "sluice/parallel/collectives.h"

namespace sluice::parallel {
namespace {

using dist::Group;

// Choices as they travel: [tokens, 2 * top_k or 2 more] float32, weights then experts, then where adapters leave inputs out the two halves of the
// tokens' numbers: all whole numbers far below 2^24.
at::Tensor packed(const nn::Routing& routing) {
  std::vector<at::Tensor> columns{routing.weights, routing.experts.to(at::kFloat)};
  if (routing.tokens.defined()) {
    const at::Tensor row = at::bitwise_right_shift(routing.tokens, 32), position = at::bitwise_and(routing.tokens, 0xffffffff);
    columns.push_back(at::stack({row, position}, 1).to(at::kFloat));
  }
  return at::cat(columns, 1);
}

nn::Routing unpacked(const at::Tensor& choices, std::int64_t top_k) {
  const auto whole = [&](std::int64_t first, std::int64_t columns) { return choices.narrow(1, first, columns).detach().to(at::kLong); };
  nn::Routing out{{}, choices.narrow(1, 0, top_k), whole(top_k, top_k)};
  if (choices.size(1) > 2 * top_k) out.tokens = at::add(at::bitwise_left_shift(whole(2 * top_k, 1), 32), whole(2 * top_k + 1, 1)).view({-1});
  return out;
}

// The choices that fall on experts first .. first + count - 1, counted from `first`; the others are -1.
at::Tensor local_choices(const at::Tensor& experts, std::int64_t first, std::int64_t count) {
  const at::Tensor local = experts - first;
  return local.masked_fill(at::logical_or(local < 0, local >= count), -1);
}

class Dispatching : public nn::TokenDispatcher {
 public:
  Dispatching(const Group& experts, std::int64_t expert_tensor, const Group& rows) : experts_(experts), expert_tensor_(expert_tensor), rows_(rows) {}

  void drop_beyond_capacity(nn::Routing& routing, const at::Tensor& real, double factor) const override {
    const std::int64_t num_experts = routing.logits.size(1), tokens = routing.weights.size(0);
    if (rows_.alone()) return nn::drop_beyond_capacity(routing, real, num_experts, factor);
    at::Tensor served;
    {
      const at::NoGradGuard no_grad;
      nn::Routing all{{}, gather_rows(routing.weights.detach(), rows_), gather_rows(routing.experts, rows_)};
      nn::drop_beyond_capacity(all, real.defined() ? gather_rows(real, rows_) : real, num_experts, factor);
      served = all.experts.narrow(0, rows_.rank() * tokens, tokens).contiguous();
    }
    routing.experts = served;
    routing.weights = routing.weights.masked_fill(served < 0, 0.0);
  }

 protected:
  const Group& experts_;
  std::int64_t expert_tensor_;
  std::int64_t shares() const { return experts_.size() / expert_tensor_; }  // into which a layer's experts are cut
  std::int64_t own_share() const { return experts_.rank() / expert_tensor_; }

 private:
  const Group& rows_;
};

class AllToAll final : public Dispatching {
 public:
  using Dispatching::Dispatching;

  at::Tensor forward(const at::Tensor& hidden, const nn::Routing& routing, const nn::Experts& experts, const std::function<void()>& meanwhile) const override {
    if (experts_.alone()) return nn::local_seams().dispatcher.forward(hidden, routing, experts, meanwhile);
    const Plan plan = make_plan(routing.experts, experts.num_experts());
    const Exchange there = start_exchange(hidden.index_select(0, plan.token), plan.rows, experts_);
    const at::Tensor tokens = experts.dropout_tokens(hidden.size(0));
    const nn::Routing sent{{}, routing.weights.index_select(0, plan.token), plan.choices, tokens.defined() ? tokens.index_select(0, plan.token) : tokens};
    const Exchange choices = start_exchange(packed(sent), plan.rows, experts_);
    if (meanwhile) meanwhile();
    there.pending->wait();
    choices.pending->wait();
    // Where no tokens came the result still hangs on what did: its way back is an exchange that every rank takes part in.
    const at::Tensor result = experts.forward(there.rows, unpacked(choices.rows, routing.experts.size(1)));
    const at::Tensor back = exchange_rows(result, {plan.rows.received, plan.rows.sent}, experts_);
    const at::Tensor out = at::zeros(hidden.sizes(), back.options().requires_grad(false));
    return at::index_add(out, 0, plan.token, back);
  }

 private:
  struct Plan {
    at::Tensor token;    // [sent rows], int64: the token of each row that is sent, by destination
    at::Tensor choices;  // [sent rows, top_k], int64: its experts there, counted as that rank does; -1 = not there
    Group::Rows rows;
  };

  Plan make_plan(const at::Tensor& experts, std::int64_t each) const {
    const at::NoGradGuard no_grad;
    Plan plan;
    std::vector<at::Tensor> tokens, choices;
    for (std::int64_t share = 0; share < shares(); ++share) {
      const at::Tensor local = local_choices(experts, share * each, each), token = at::nonzero((local >= 0).any(1)).view({-1});
      for (std::int64_t i = 0; i < expert_tensor_; ++i) {
        tokens.push_back(token);
        choices.push_back(local.index_select(0, token));
        plan.rows.sent.push_back(token.size(0));
      }
    }
    plan.token = at::cat(tokens, 0);
    plan.choices = at::cat(choices, 0);
    const Group::Rows one_each{std::vector<std::int64_t>(plan.rows.sent.size(), 1), std::vector<std::int64_t>(plan.rows.sent.size(), 1)};
    const at::Tensor received = experts_.all_to_all(at::tensor(plan.rows.sent, at::kLong), one_each);
    plan.rows.received.assign(received.data_ptr<std::int64_t>(), received.data_ptr<std::int64_t>() + received.numel());
    return plan;
  }
};

class AllGather final : public Dispatching {
 public:
  using Dispatching::Dispatching;

  at::Tensor forward(const at::Tensor& hidden, const nn::Routing& routing, const nn::Experts& experts, const std::function<void()>& meanwhile) const override {
    if (experts_.alone()) return nn::local_seams().dispatcher.forward(hidden, routing, experts, meanwhile);
    if (meanwhile) meanwhile();
    const std::int64_t tokens = hidden.size(0), most = most_tokens(tokens), each = experts.num_experts();
    const at::Tensor all = gather_rows(filled(hidden, most, 0), experts_);
    const nn::Routing here{{}, routing.weights, routing.experts, experts.dropout_tokens(tokens)};
    nn::Routing own = unpacked(gather_rows(filled(packed(here), most, -1), experts_), routing.experts.size(1));
    own.experts = local_choices(own.experts, own_share() * each, each);
    return scatter_sum(experts.forward(all, own), experts_).narrow(0, 0, tokens);
  }

 private:
  std::int64_t most_tokens(std::int64_t tokens) const {
    const at::Tensor most = at::full({1}, tokens, at::kLong);
    experts_.all_reduce(most, dist::Reduce::kMax);
    return most.item<std::int64_t>();
  }
  // x [tokens, width] with rows of `value` below, `rows` in all.
  static at::Tensor filled(const at::Tensor& x, std::int64_t rows, double value) {
    if (x.size(0) == rows) return x;
    return at::cat({x, at::full({rows - x.size(0), x.size(1)}, value, x.options().requires_grad(false))}, 0);
  }
};

}  // namespace

std::unique_ptr<nn::TokenDispatcher> make_dispatcher(Dispatcher kind, const Group& experts, std::int64_t expert_tensor, const Group& rows) {
  if (kind == Dispatcher::kAllGather) return std::make_unique<AllGather>(experts, expert_tensor, rows);
  return std::make_unique<AllToAll>(experts, expert_tensor, rows);
}

}  // namespace sluice::parallel
