// The `parallelism` section: how a run is split over processes, what must hold for that, and which layers lie where.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/dist/grid.h"

namespace sluice::parallel {

struct ParallelismConfig {
  std::int64_t tensor_model_parallel_size = 1, pipeline_model_parallel_size = 1, expert_model_parallel_size = 1, context_parallel_size = 1;
  std::optional<std::int64_t> expert_tensor_parallel_size;
  std::optional<bool> sequence_parallel;
  std::int64_t zero_stage = 0;
  std::optional<std::int64_t> virtual_pipeline_model_parallel_size, num_layers_per_virtual_pipeline_stage, num_layers_in_first_pipeline_stage,
      num_layers_in_last_pipeline_stage;
  std::vector<std::int64_t> pipeline_layers;
  bool overlap_micro_batches = false;

  void fields(auto&& field) {
    field("tensor_model_parallel_size", tensor_model_parallel_size, "Processes that split each matrix.");
    field("pipeline_model_parallel_size", pipeline_model_parallel_size, "Processes that split the layers.");
    field("expert_model_parallel_size", expert_model_parallel_size, "Processes that split the experts, among those of a pipeline stage; no factor of the number of processes.");
    field("context_parallel_size", context_parallel_size, "Processes that split each sequence.");
    field("expert_tensor_parallel_size", expert_tensor_parallel_size, "Processes that split each expert; null = 1 where the experts are split, else tensor_model_parallel_size.");
    field("sequence_parallel", sequence_parallel, "Split norms and the residual stream over the tensor-parallel processes too; null = where there are several.");
    field("zero_stage", zero_stage, "What data-parallel processes split: 0 nothing, 1 the optimizer's state, 2 gradients too, 3 weights too (ZeRO).");
    field("virtual_pipeline_model_parallel_size", virtual_pipeline_model_parallel_size, "Chunks of layers of each pipeline process, which lessen its waiting; null = 1.");
    field("num_layers_per_virtual_pipeline_stage", num_layers_per_virtual_pipeline_stage, "Layers of a chunk: another way to say the number of chunks.");
    field("num_layers_in_first_pipeline_stage", num_layers_in_first_pipeline_stage, "Layers of the first pipeline process; null = as many as the others.");
    field("num_layers_in_last_pipeline_stage", num_layers_in_last_pipeline_stage, "Layers of the last pipeline process; null = as many as the others.");
    field("pipeline_layers", pipeline_layers, "Layers of each pipeline stage, e.g. [7, 8, 8, 7]; with chunks, of all first chunks, then of all second ones.");
    field("overlap_micro_batches", overlap_micro_batches, "Run each micro-batch's backward pass beside the next one's forward pass, so that one computes while the other exchanges. The same bits; one more micro-batch in memory.");
  }

  std::int64_t expert_tensor_size() const { return expert_tensor_parallel_size.value_or(expert_model_parallel_size > 1 ? 1 : tensor_model_parallel_size); }
  // Whether ranks exchange within a pass, not only before and after it.
  bool exchanges_in_passes() const { return tensor_model_parallel_size > 1 || context_parallel_size > 1 || expert_model_parallel_size > 1 || expert_tensor_size() > 1; }
  bool splits_sequences() const { return sequence_parallel.value_or(tensor_model_parallel_size > 1); }
};

// The sizes of a model that splitting depends on; 0 = it has none of these.
struct ModelSizes {
  std::int64_t layers = 0, heads = 0, kv_heads = 0;
  std::int64_t linear_key_heads = 0, linear_value_heads = 0;  // of gated delta nets
  std::int64_t ffn = 0, shared_ffn = 0;                       // widths of dense and of shared experts' feed-forwards
  std::int64_t experts = 0, expert_ffn = 0;
};

// What a layout is for.
struct Job {
  std::int64_t processes = 1;
  std::optional<ModelSizes> model;  // empty when it could not be had
  std::int64_t micro_batch_size = 1;
  std::optional<std::int64_t> global_batch_size;
};

// Adds every rule of the section that does not hold. Vocabulary and sequences that do not divide are padded, and break none.
void check(const ParallelismConfig& config, const Job& job, Violations& violations);

// Layouts of the same processes that break no rule, those first that change the sizes of `config` the least (by factors), at most `most`.
std::vector<ParallelismConfig> nearest_layouts(const ParallelismConfig& config, const Job& job, std::size_t most);

// Error when the sizes do not go with `processes`.
dist::GridSizes grid_of(const ParallelismConfig& config, std::int64_t processes);

// Chunks of layers on each rank of a pipeline. As layers_of, for a config that breaks no rule.
std::int64_t chunks_of(const ParallelismConfig& config, std::int64_t num_layers);

// The layers of one chunk of a pipeline stage: begin, ... end - 1.
struct LayerRange {
  std::int64_t begin = 0, end = 0;
  bool operator==(const LayerRange&) const = default;
};
LayerRange layers_of(const ParallelismConfig& config, std::int64_t num_layers, std::int64_t stage, std::int64_t chunk);

}  // namespace sluice::parallel
