// What a forward pass needs beside its input: the shape of the sequences, the cache of generation, and the seams for parallelism.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace sluice::nn {

class Experts;
class TokenDispatcher;
class AttentionCore;
struct Routing;

// Activations travel as [tokens, hidden] with tokens = rows * seq, row after row.
struct SequenceShape {
  std::int64_t rows = 0, seq = 0;
  // Bool [rows, seq], true = real; undefined when padding, if any, stands at the right, where causal attention never sees it.
  at::Tensor key_mask;
  at::Tensor real;  // [tokens], float32, 1 = real, 0 = padding; undefined when all are real
  std::int64_t tokens() const { return rows * seq; }
};

// Keys and values of the tokens so far, one pair a layer: [rows, kv_heads, capacity, head_dim]; `length` positions are filled.
struct KvCache {
  std::vector<at::Tensor> keys, values;
  std::int64_t length = 0;
};

// Where tensor and sequence parallelism enter: activations pass `enter` before column-split linears and `leave` after row-split ones.
class TensorRegion {
 public:
  virtual ~TensorRegion() = default;
  virtual at::Tensor enter(const at::Tensor& hidden) const = 0;
  virtual at::Tensor leave(const at::Tensor& hidden) const = 0;
};

// How tokens reach the experts that they chose, and how the results come back; all-to-all and all-gather are other implementations.
class TokenDispatcher {
 public:
  virtual ~TokenDispatcher() = default;
  // hidden [tokens, hidden] -> float32 [tokens, hidden], the weighted sum of each token's experts.
  virtual at::Tensor forward(const at::Tensor& hidden, const Routing& routing, const Experts& experts) const = 0;
};

// softmax(q k^T) v with a causal mask; context parallelism is another implementation.
class AttentionCore {
 public:
  virtual ~AttentionCore() = default;
  // query [tokens, heads, head_dim], key and value [tokens, kv_heads, head_dim] -> [tokens, heads * head_dim]; scale 1/sqrt(head_dim).
  virtual at::Tensor forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape) const = 0;
};

// The seams together; one process gets the local ones from local_seams().
struct Seams {
  const TensorRegion& tensor;
  const TokenDispatcher& dispatcher;
  const AttentionCore& attention;
};
const Seams& local_seams();

enum class Mode { kTraining, kInference };

struct ForwardContext {
  SequenceShape shape;
  const Seams& seams;
  Mode mode = Mode::kTraining;
  double expert_capacity_factor = 0;  // 0 = dropless
  KvCache* cache = nullptr;           // generation only
  std::int64_t first_position() const { return cache ? cache->length : 0; }
};

}  // namespace sluice::nn
