#include "sluice/train/rank_memory.h"

#include <algorithm>
#include <map>
#include <set>

#include "sluice/monitor/numbers.h"
#include "sluice/parallel/data.h"
#include "sluice/parallel/held.h"
#include "sluice/train/parameters.h"

namespace sluice::train {
namespace {

constexpr std::uint64_t kFloat32 = 4;

std::uint64_t count(const std::vector<std::int64_t>& shape) {
  std::uint64_t n = 1;
  for (const std::int64_t size : shape) n *= static_cast<std::uint64_t>(size);
  return n;
}

bool is_of_experts(const std::string& name) { return name.find(".experts.") != std::string::npos; }

// The ranks that hold the same part of a parameter.
std::uint64_t holders(const nn::ParameterSpec& held, const dist::GridSizes& grid) {
  const std::int64_t n = is_of_experts(held.name) ? grid.expert_data() : held.is_whole() ? grid.stage() : grid.context * grid.data;
  return static_cast<std::uint64_t>(n);
}

void add_state(RankMemory& out, const Recipe& recipe, const nn::ParameterSpec& held, bool is_trained, const dist::GridSizes& grid) {
  const bool all_float32 = recipe.train.precision == nn::Precision::kFloat32;
  const std::uint64_t elements = count(held.shape), moment = recipe.optimizer.moments == optim::Moments::kFloat32 ? kFloat32 : 2;
  if (!is_trained) {
    out.parameters += elements * (all_float32 || held.keep != nn::Keep::kComputePrecision ? kFloat32 : 2);
    return;
  }
  const auto shared_from = [&](std::int64_t stage) { return recipe.parallelism.zero_stage >= stage ? holders(held, grid) : 1; };
  // The computing copies of a bf16 run are one flat buffer, the float32 parameters' places in it included.
  out.parameters += elements * kFloat32 / (all_float32 ? shared_from(3) : shared_from(1)) + (all_float32 ? 0 : elements * 2 / shared_from(3));
  out.gradients += elements * kFloat32 / shared_from(2);
  out.optimizer += elements * 2 * moment / shared_from(1);
}

// What stands in a layer, by what its parameters are called after "layers.N.": the shapes that this rank holds.
using Layer = std::map<std::string, std::vector<std::int64_t>>;

// A rank's tokens of a micro-batch, and what is kept of them.
struct Keeping {
  double tokens = 0;    // that enter its matrices
  double between = 0;   // of the residual stream
  double routed = 0;    // that its routers see
  double element = 0;   // bytes of the computing precision
  double context = 1;   // ranks that share out positions: keys and values are gathered
  double masked = 0;    // elements of attention's mask, written out for positions that are shared out
  double hidden = 0;
  std::int64_t top_k = 0;
  std::set<nn::Module> again;  // modules that are computed again

  bool keeps(nn::Module module) const { return !again.contains(module); }
};

double size_of(const Layer& layer, const std::string& name, std::size_t dimension) {
  const auto found = layer.find(name);
  return found == layer.end() || found->second.size() <= dimension ? 0 : static_cast<double>(found->second[dimension]);
}

double attention_bytes(const Layer& layer, const Keeping& k) {
  const auto rows = [&](const std::string& name) { return size_of(layer, "attention." + name + ".weight", 0); };
  const auto columns = [&](const std::string& name) { return size_of(layer, "attention." + name + ".weight", 1); };
  const double out = columns("o_proj"), latents = rows("q_a_proj") + 2 * rows("kv_a_proj") + columns("q_b_proj");
  const bool core = k.keeps(nn::Module::kCoreAttention);
  const double gathered = core ? k.context : 1, mask = core && out > 0 ? k.masked : 0;
  double qkv = rows("qkv_proj") * (1 + 2 * gathered) / 3 + rows("q_proj") + (rows("k_proj") + rows("v_proj")) * gathered;
  const double latent_queries = rows("q_b_proj") + rows("q_proj");  // keys are as wide
  if (rows("kv_b_proj") > 0) qkv = k.keeps(nn::Module::kMlaUpProjection) ? (1 + gathered) * latent_queries + gathered * out : 0;
  // A gated delta net keeps its projections, its convolution, and queries, keys and values in float32 besides.
  const double delta = size_of(layer, "delta_net.in_proj_qkvz.weight", 0) * (k.element + 16) + size_of(layer, "delta_net.out_proj.weight", 1) * 3 * k.element;
  return k.tokens * (k.element * (qkv + out + latents) + delta) + k.element * mask;
}

double mlp_bytes(const Layer& layer, const std::string& name, const Keeping& k) {
  if (!k.keeps(nn::Module::kMlp)) return 0;
  const double ffn = size_of(layer, name + ".down_proj.weight", 1);
  const double tensors = layer.contains(name + ".gate_proj.weight") ? 4 : 2;  // gate, its activation, up and their product; or the activation alone
  return k.tokens * k.element * ffn * tensors;
}

double experts_bytes(const Layer& layer, const Keeping& k) {
  const double experts = size_of(layer, "router.weight", 0);
  if (experts == 0 || !k.keeps(nn::Module::kMoe)) return 0;
  const double both = size_of(layer, "experts.gate_up.weight", 1);
  return k.routed * (static_cast<double>(k.top_k) * both * k.element + experts * 4 * kFloat32);
}

double layer_bytes(const Layer& layer, const Keeping& k) {
  double bytes = attention_bytes(layer, k) + mlp_bytes(layer, "mlp", k) + mlp_bytes(layer, "shared_expert", k) + experts_bytes(layer, k);
  const double norms = 2 * k.between * k.hidden;  // elements that enter the two norms
  bytes += norms * kFloat32;
  if (k.keeps(nn::Module::kLayerNorm)) bytes += 2 * k.tokens * k.hidden * k.element + (k.element == kFloat32 ? norms * kFloat32 : 0);
  return bytes;
}

std::map<std::int64_t, Layer> layers_of(const std::vector<nn::ParameterSpec>& held) {
  std::map<std::int64_t, Layer> out;
  for (const nn::ParameterSpec& spec : held) {
    const std::int64_t unit = parallel::Holders::unit_of(spec.name);
    if (unit > 0 && !spec.is_elsewhere()) out[unit - 1][spec.name.substr(spec.name.find('.', 7) + 1)] = spec.shape;
  }
  return out;
}

// What a rank of a pipeline does, of two passes at the same time the forward one first.
std::vector<parallel::Action> actions_of(const Recipe& recipe, const parallel::PipelineShape& shape, std::int64_t rank) {
  if (!recipe.overlaps_micro_batches()) return parallel::pipeline_schedule(shape, rank);
  std::vector<parallel::Action> out;
  for (const parallel::Turn& turn : parallel::overlapped_schedule(shape, rank)) {
    out.insert(out.end(), turn.forward.begin(), turn.forward.end());
    out.insert(out.end(), turn.backward.begin(), turn.backward.end());
  }
  return out;
}

// Most passes that are between forward and backward, each through one chunk of the rank's layers.
std::int64_t passes_in_flight(const std::vector<parallel::Action>& actions) {
  std::int64_t now = 0, most = 0;
  for (const parallel::Action& action : actions) {
    if (action.kind == parallel::ActionKind::kForward) most = std::max(most, ++now);
    if (action.kind == parallel::ActionKind::kBackward) --now;
  }
  return most;
}

std::uint64_t activation_bytes(const ResolvedRecipe& resolved, const std::vector<nn::ParameterSpec>& held, const dist::GridSizes& grid, const dist::Place& place,
                               std::int64_t tokens_per_row) {
  const Recipe& recipe = resolved.recipe;
  const parallel::MemoryConfig& memory = recipe.memory;
  const parallel::Stages stages = parallel::stages_of(*resolved.model_config, recipe.parallelism);
  const auto tensor = static_cast<double>(grid.tensor);
  Keeping everything;
  everything.tokens = static_cast<double>(recipe.train.micro_batch_size * tokens_per_row) / static_cast<double>(grid.context);
  everything.between = recipe.parallelism.splits_sequences() ? everything.tokens / tensor : everything.tokens;
  everything.routed = everything.tokens / tensor;
  everything.element = recipe.train.precision == nn::Precision::kFloat32 ? 4 : 2;
  everything.context = static_cast<double>(grid.context);
  if (grid.context > 1) everything.masked = everything.tokens * static_cast<double>(tokens_per_row * (2 * grid.context + 1)) / (4 * everything.context);
  everything.hidden = static_cast<double>(parameters_of(resolved).front().shape[1]);  // of the embedding
  everything.top_k = resolved.model_config->moe().top_k;
  Keeping selected = everything;
  if (memory.recompute == parallel::Recompute::kSelective) selected.again.insert(memory.recompute_modules.begin(), memory.recompute_modules.end());
  const bool full = memory.recompute == parallel::Recompute::kFull;
  const double input = everything.between * everything.hidden * kFloat32 / (memory.distribute_saved_activations ? tensor : 1);

  const auto layers = layers_of(held);
  const std::optional<std::int64_t> chosen = memory.activations().layers;
  double kept = 0, one_layer = 0;
  for (std::int64_t chunk = 0; chunk < stages.chunks(); ++chunk) {
    const parallel::LayerRange range = stages.layers(place.pipeline, chunk);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const bool again = memory.recompute != parallel::Recompute::kNone && (!chosen || i - range.begin < *chosen);
      kept += again && full ? input : layer_bytes(layers.at(i), again ? selected : everything);
      if (again && full) one_layer = std::max(one_layer, layer_bytes(layers.at(i), everything));
    }
  }
  const parallel::PipelineShape shape{stages.ranks(), stages.chunks(), recipe.accumulation_steps()};
  const auto passes = static_cast<double>(passes_in_flight(actions_of(recipe, shape, place.pipeline))) / static_cast<double>(stages.chunks());
  const bool has_head = place.pipeline == stages.ranks() - 1;
  const double head = has_head ? everything.tokens * everything.hidden * (kFloat32 + everything.element) : 0;
  return static_cast<std::uint64_t>(passes * kept + one_layer + head);
}

}  // namespace

RankMemory rank_memory(const ResolvedRecipe& resolved, std::int64_t rank, std::int64_t tokens_per_row) {
  const dist::GridSizes grid = parallel::grid_of(resolved.recipe.parallelism, resolved.recipe.processes);
  const dist::Place place = dist::place_of(grid, rank);
  const auto frozen = frozen_by(resolved.recipe);
  const auto held = parameters_held(resolved, grid)(place);
  RankMemory out;
  for (const nn::ParameterSpec& spec : held) {
    if (!spec.is_elsewhere()) add_state(out, resolved.recipe, spec, !frozen(spec.name) && spec.update != nn::Update::kRule, grid);
  }
  out.activations = activation_bytes(resolved, held, grid, place, tokens_per_row);
  return out;
}

RankMemory in_memory(const RankMemory& memory, const parallel::MemoryConfig& config) {
  using parallel::Offload;
  const auto there = [&](Offload what, std::uint64_t bytes) { return config.offloads(what) ? 0 : bytes; };
  return {there(Offload::kParameters, memory.parameters), there(Offload::kGradients, memory.gradients), there(Offload::kOptimizer, memory.optimizer),
          there(Offload::kActivations, memory.activations)};
}

std::string describe(const RankMemory& memory) {
  using monitor::format_bytes;
  return "parameters " + format_bytes(memory.parameters) + ", gradients " + format_bytes(memory.gradients) + ", optimizer " + format_bytes(memory.optimizer) +
         ", activations about " + format_bytes(memory.activations);
}

}  // namespace sluice::train
