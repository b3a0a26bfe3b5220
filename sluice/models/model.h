// A language model: tokens -> embedding -> blocks -> norm -> head. Written for one process; no rank appears here.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/base/json.h"
#include "sluice/config/value.h"
#include "sluice/models/tensor_table.h"
#include "sluice/nn/forward.h"
#include "sluice/nn/head.h"
#include "sluice/nn/parameter.h"
#include "sluice/nn/router.h"

namespace sluice::models {

struct BlockOutput {
  at::Tensor hidden;                   // [tokens, hidden], float32: the residual stream
  std::optional<nn::RouterRecord> router;  // of a mixture layer
};

// One layer. Blocks are a list so that ZeRO-3, pipelines and recompute can work between them.
class Block {
 public:
  virtual ~Block() = default;
  virtual BlockOutput forward(const at::Tensor& hidden, const nn::ForwardContext& context) const = 0;
};

// Told when a block is about to run and when it has: where its weights may be fetched and given back (ZeRO-3), and its gradients be summed.
class BlockWatcher {
 public:
  virtual ~BlockWatcher() = default;
  virtual void before_forward(std::int64_t block) = 0;
  virtual void after_forward(std::int64_t block) = 0;
  virtual void before_backward(std::int64_t block) = 0;
  virtual void after_backward(std::int64_t block) = 0;  // its gradients of this micro-batch are whole
};

// Predicts the token after the next one from a position's final hidden state and the next token (DeepSeek-V3, arXiv:2412.19437,
// section 2.2): one more block with norms and a projection before it.
class MultiTokenPredictor {
 public:
  virtual ~MultiTokenPredictor() = default;
  //   hidden    [tokens, hidden], what final_norm gave
  //   next_ids  [tokens], int64: the token that follows each position
  //   returns   hidden in the computing precision, ready for the head; and its mixture's router
  virtual BlockOutput forward(const at::Tensor& hidden, const at::Tensor& next_ids, const nn::ForwardContext& context) const = 0;
};

class Model {
 public:
  virtual ~Model() = default;
  // ids [tokens], int64 -> [tokens, hidden], float32
  virtual at::Tensor embed(const at::Tensor& ids, const nn::ForwardContext& context) const = 0;
  virtual const std::vector<std::unique_ptr<Block>>& blocks() const = 0;
  // After the last block: [tokens, hidden], in the computing precision, ready for the head.
  virtual at::Tensor final_norm(const at::Tensor& hidden) const = 0;
  nn::Head head() const {
    nn::Head head = own_head();
    head.region = &seams().tensor;
    head.pipeline = seams().pipeline;
    head.blocks = static_cast<std::int64_t>(blocks().size());
    return head;
  }
  virtual const MultiTokenPredictor* multi_token_predictor() const { return nullptr; }  // null = the model has none
  virtual nn::KvCache make_cache(std::int64_t rows, std::int64_t capacity) const = 0;

  // The layout that it runs under: that of one process, unless set. `seams` outlives the model.
  const nn::Seams& seams() const { return *seams_; }
  void set_seams(const nn::Seams& seams) { seams_ = &seams; }
  // Null = nobody watches. The watcher outlives the model's use.
  BlockWatcher* watcher() const { return watcher_; }
  void set_watcher(BlockWatcher* watcher) { watcher_ = watcher; }

 protected:
  virtual nn::Head own_head() const = 0;

 private:
  const nn::Seams* seams_ = &nn::local_seams();
  BlockWatcher* watcher_ = nullptr;
};

// The mixture layers of a model, for losses, metrics and rules.
struct MoeShape {
  std::int64_t num_layers = 0;  // mixture layers only
  std::int64_t num_experts = 0, top_k = 0;
  double router_aux_loss_coef = 0;
  // Correction biases that moe.expert_bias_update_rate moves: our names, one a mixture layer; empty = this architecture has none.
  std::vector<std::string> expert_biases;
};

// Parameters, floating-point operations and bytes, for planning and for MFU.
struct Cost {
  std::int64_t parameters = 0, active_parameters = 0;
  double forward_flops_per_token = 0;  // at `seq` tokens of context, causal
  std::int64_t kv_bytes_per_token = 0;  // at two bytes an element
};

// The sizes of one model. Each architecture's room implements it once.
class ModelConfig {
 public:
  virtual ~ModelConfig() = default;
  virtual void read_hf(const Json& config, const std::string& where) = 0;  // either style of key, transformers 4.x's and 5.x's
  // A checkpoint may hold or leave out whole parts (multi-token prediction), whatever its config says: follows the checkpoint. `has_tensor`
  // tells whether it has a tensor of that name, HF's in a HF folder, ours in a native one.
  virtual void fit_to_checkpoint(const std::function<bool(const std::string& name)>& /*has_tensor*/) {}
  virtual OrderedJson write_hf(at::ScalarType dtype) const = 0;            // both styles
  virtual void apply(const std::vector<config::Setting>& settings, Violations& violations) = 0;  // keys as in a recipe: "model.hidden_size"
  // Every setting that apply() knows, in the order of declaration: {"model.hidden_size", "4096"}.
  virtual std::vector<std::pair<std::string, std::string>> settings() const = 0;
  virtual std::string to_yaml() const = 0;
  // The tokenizer's special tokens, for those that are not set: an export must say where a text ends.
  virtual void set_missing_token_ids(std::optional<std::int64_t> bos, std::optional<std::int64_t> eos, std::optional<std::int64_t> pad) = 0;
  // Tensors of HF folders that are no parameters: buffers that older versions saved, a head that is the embedding.
  virtual bool ignores(const std::string& hf_name) const { return hf_name.ends_with("rotary_emb.inv_freq"); }
  virtual void check(Violations& violations) const = 0;
  virtual std::vector<TensorSpec> tensor_table() const = 0;
  // The store holds the table's parameters and outlives the model.
  virtual std::unique_ptr<Model> build(nn::ParameterStore& store) const = 0;
  virtual MoeShape moe() const = 0;
  virtual std::int64_t num_heads() const = 0;  // of attention's queries: what tensor parallelism shares out
  virtual Cost cost(std::int64_t seq) const = 0;
  virtual std::int64_t vocab_size() const = 0;
  virtual std::int64_t max_positions() const = 0;
  virtual std::int64_t num_layers() const = 0;
  virtual double init_std() const = 0;
};

}  // namespace sluice::models
