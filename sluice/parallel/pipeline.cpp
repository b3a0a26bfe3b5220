#include "sluice/parallel/pipeline.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "sluice/base/error.h"

namespace sluice::parallel {
namespace {

// "layers.12.x" -> 12; nothing for what is in no layer.
std::optional<std::int64_t> layer_of(const std::string& name) {
  constexpr std::string_view kPrefix = "layers.";
  std::int64_t layer = 0;
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return layer;
}

using Place = std::pair<std::int64_t, std::int64_t>;  // micro-batch, chunk

// What one rank has received and computed and not yet passed on, in one direction. Used by one thread at a time.
struct Direction {
  const dist::Group& group;
  std::map<Place, at::Tensor> received = {}, computed = {};
  std::vector<std::unique_ptr<dist::Pending>> under_way = {};
};

at::Tensor take(std::map<Place, at::Tensor>& messages, const Place& place) {
  const auto found = messages.find(place);
  if (found == messages.end()) return {};
  at::Tensor out = std::move(found->second);
  messages.erase(found);
  return out;
}

// The two directions share nothing: one may run beside the other.
class Runner {
 public:
  Runner(const PipelineShape& shape, const dist::Group& forward, const dist::Group& backward, StageWork& work)
      : shape_(shape), forward_{forward}, backward_{backward}, work_(work) {}

  void run(const Action& action) {
    const Place here{action.micro_batch, action.chunk};
    switch (action.kind) {
      case ActionKind::kReceiveForward: receive(forward_, action, work_.forward_size(action.micro_batch)); break;
      case ActionKind::kReceiveBackward: receive(backward_, action, work_.backward_size(action.micro_batch)); break;
      case ActionKind::kForward: keep(forward_, action, work_.forward(action, take(forward_.received, here)), action.chunk + 1); break;
      case ActionKind::kBackward: keep(backward_, action, work_.backward(action, take(backward_.received, here)), action.chunk - 1); break;
      case ActionKind::kSendForward: send(forward_, action); break;
      case ActionKind::kSendBackward: send(backward_, action); break;
    }
  }

  void finish() {
    for (const Direction* direction : {&forward_, &backward_}) {
      for (const auto& sending : direction->under_way) sending->wait();
    }
  }

 private:
  // Between chunks of one rank nothing is sent.
  bool is_alone() const { return shape_.stages == 1; }

  void keep(Direction& direction, const Action& pass, const at::Tensor& message, std::int64_t next_chunk) const {
    if (!message.defined()) return;
    if (is_alone()) direction.received[{pass.micro_batch, next_chunk}] = message;
    else direction.computed[{pass.micro_batch, pass.chunk}] = message;
  }
  void receive(Direction& direction, const Action& action, std::int64_t size) const {
    const at::Tensor message = at::empty({size}, at::kFloat);
    direction.group.start_receive(message, peer_of(shape_, direction.group.rank(), action.kind))->wait();
    direction.received[{action.micro_batch, action.chunk}] = message;
  }
  void send(Direction& direction, const Action& action) const {
    const at::Tensor message = take(direction.computed, {action.micro_batch, action.chunk});
    direction.under_way.push_back(direction.group.start_send(message, peer_of(shape_, direction.group.rank(), action.kind)));
  }

  const PipelineShape& shape_;
  Direction forward_, backward_;
  StageWork& work_;
};

}  // namespace

Stages::Stages(const ParallelismConfig& config, std::int64_t num_layers, std::vector<std::int64_t> mixtures, std::int64_t num_experts)
    : config_(config), num_layers_(num_layers), chunks_(chunks_of(config, num_layers)), mixtures_(std::move(mixtures)), num_experts_(num_experts) {}

std::int64_t Stages::mixtures_before(std::int64_t layer) const { return std::ranges::lower_bound(mixtures_, layer) - mixtures_.begin(); }

std::int64_t Stages::rank_of(std::int64_t block) const {
  if (block < 0) return 0;
  if (block >= num_layers_) return ranks() - 1;
  for (std::int64_t rank = 0; rank < ranks(); ++rank) {
    for (std::int64_t chunk = 0; chunk < chunks_; ++chunk) {
      if (const LayerRange range = layers(rank, chunk); block >= range.begin && block < range.end) return rank;
    }
  }
  throw Bug("layer " + std::to_string(block) + " is on no rank of the pipeline");
}

bool Stages::holds(std::int64_t rank, const std::string& parameter, bool last_needs_embedding) const {
  if (const auto layer = layer_of(parameter)) return rank_of(*layer) == rank;
  if (parameter == "embedding.weight") return rank == 0 || (last_needs_embedding && rank == ranks() - 1);
  if (parameter == "position_embedding.weight") return rank == 0;
  const bool at_the_end = parameter.starts_with("norm.") || parameter.starts_with("head.") || parameter.starts_with("mtp.");
  return !at_the_end || rank == ranks() - 1;
}

at::Tensor PipelineBroadcast::from_holder(std::int64_t block, const at::Tensor& here) const {
  constexpr std::int64_t kMostDimensions = 6;
  const std::int64_t from = holder_of(block) * mesh_.sizes.stage();
  const bool gives = from == mesh_.rank;
  at::Tensor header = at::zeros({2 + kMostDimensions}, at::kLong);  // 1 + dimensions or 0 = undefined, type, sizes
  if (gives && here.defined()) {
    header[0] = 1 + here.dim();
    header[1] = static_cast<std::int64_t>(here.scalar_type());
    for (std::int64_t d = 0; d < here.dim(); ++d) header[2 + d] = here.size(d);
  }
  mesh_.world->broadcast(header, from);
  const auto* said = header.const_data_ptr<std::int64_t>();
  if (said[0] == 0) return {};
  const at::Tensor out = gives ? here.detach().contiguous() : at::empty(std::vector<std::int64_t>(said + 2, said + 1 + said[0]), static_cast<at::ScalarType>(said[1]));
  mesh_.world->broadcast(out.scalar_type() == at::kBool ? out.view(at::kByte) : out, from);
  return out;
}

void run_pipeline(const PipelineShape& shape, const dist::Group& group, StageWork& work) {
  Runner runner(shape, group, group, work);
  for (const Action& action : pipeline_schedule(shape, group.rank())) runner.run(action);
  runner.finish();
}

void run_overlapped(const PipelineShape& shape, const dist::Group& forward, const dist::Group& backward, StageWork& work, const RunTurn& run_turn) {
  Runner runner(shape, forward, backward, work);
  for (const Turn& turn : overlapped_schedule(shape, forward.rank())) {
    std::array<std::function<void()>, 2> lanes;
    for (const std::vector<Action>* actions : {&turn.forward, &turn.backward}) {
      if (actions->empty()) continue;
      lanes[static_cast<std::size_t>(actions->front().lane)] = [&runner, actions] {
        for (const Action& action : *actions) runner.run(action);
      };
    }
    run_turn(lanes[0], lanes[1]);
  }
  runner.finish();
}

void run_forward(const PipelineShape& shape, const dist::Group& group, StageWork& work) {
  Runner runner(shape, group, group, work);
  for (std::int64_t micro_batch = 0; micro_batch < shape.micro_batches; ++micro_batch) {
    for (std::int64_t chunk = 0; chunk < shape.chunks; ++chunk) {
      const std::int64_t stage = chunk * shape.stages + group.rank();
      if (!group.alone() && stage > 0) runner.run({ActionKind::kReceiveForward, micro_batch, chunk});
      runner.run({ActionKind::kForward, micro_batch, chunk});
      if (!group.alone() && stage + 1 < shape.virtual_stages()) runner.run({ActionKind::kSendForward, micro_batch, chunk});
    }
  }
  runner.finish();
}

}  // namespace sluice::parallel
