// Expert parallelism: the experts of a mixture layer are shared out over ranks, and tokens travel to those that they chose.
#pragma once
#include <array>
#include <memory>
#include <string_view>

#include "sluice/dist/group.h"
#include "sluice/nn/forward.h"

namespace sluice::parallel {

// How tokens reach their experts.
//   alltoall   each token goes to the ranks that hold an expert of its choice (Lepikhin et al., arXiv:2006.16668)
//   allgather  every rank sees all tokens: fewer messages, for few ranks or many experts a token
enum class Dispatcher { kAllToAll, kAllGather };
constexpr std::array<std::string_view, 2> names(Dispatcher) { return {"alltoall", "allgather"}; }

// The ranks of `experts` hold a layer's experts: `expert_tensor` neighbours the same ones, each some of their inner width. Those of `rows` have shares
// of the same rows. Both outlive the dispatcher.
std::unique_ptr<nn::TokenDispatcher> make_dispatcher(Dispatcher kind, const dist::Group& experts, std::int64_t expert_tensor, const dist::Group& rows);

}  // namespace sluice::parallel
