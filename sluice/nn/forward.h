// What a forward pass needs beside its input: the shape of the sequences, the cache of generation, and the seams for parallelism.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace sluice::nn {

class Experts;
class TokenDispatcher;
class AttentionCore;
struct Parameter;
struct Routing;

// Activations travel as [tokens, hidden] with tokens = rows * seq, row after row.
struct SequenceShape {
  std::int64_t rows = 0, seq = 0;
  // Bool [rows, seq], true = real; undefined when padding, if any, stands at the right, where causal attention never sees it.
  at::Tensor key_mask;
  at::Tensor real;  // [tokens], float32, 1 = real, 0 = padding; undefined when all are real
  // Of packed rows: the first token of each document among all tokens, rising from 0, then the number of tokens. No token sees another
  // document, and positions count from each one's start; padding is a document of its own. Empty: each row is one document.
  std::vector<std::int64_t> documents;
  at::Tensor positions = {};  // [tokens], int64: where the tokens stand in their documents, of a rank that has some of each row; else undefined
  std::shared_ptr<const SequenceShape> whole = {};  // of such a rank: the rows as they are over all ranks; else null
  std::int64_t tokens() const { return rows * seq; }
};

// Where tokens stand in their documents: token t of a row at first + t, or at of_token[t] where that is defined.
struct Positions {
  std::int64_t seq = 0, first = 0;
  at::Tensor of_token;  // [tokens], int64; defined for packed rows
};
Positions positions_of(const SequenceShape& shape, std::int64_t first);

// What one layer remembers of the tokens so far: keys and values where it has attention, convolution inputs and a recurrent state where
// it has a gated delta net.
struct LayerCache {
  at::Tensor keys, values;  // [rows, kv_heads, capacity, head_dim]
  at::Tensor conv;          // [rows, channels, kernel - 1]: the last inputs of the causal convolution
  at::Tensor state;         // [rows, value_heads, key_dim, value_dim], float32
};

// One a layer; `length` positions are filled.
struct KvCache {
  std::vector<LayerCache> layers;
  std::int64_t length = 0;
};

// How attention weighs the keys that a query may see.
struct AttentionOptions {
  double scale = 0;                  // of q k^T; 0 = 1 / sqrt(head_dim)
  std::int64_t window = 0;           // a query sees itself and the window - 1 positions before it; 0 = all before it
  double softcap = 0;                // a score s becomes softcap * tanh(s / softcap) (Gemma 2, arXiv:2408.00118); 0 = as it is
  const Parameter* sinks = nullptr;  // [heads]: one more logit a head in the softmax, whose probability goes nowhere (gpt-oss)
};

// Where tensor and sequence parallelism enter. Between the regions each rank has all tokens, or with sequence parallelism its share of them.
class TensorRegion {
 public:
  virtual ~TensorRegion() = default;
  // Before linears that are split by rows: all tokens.
  virtual at::Tensor enter(const at::Tensor& hidden) const = 0;
  // After linears that are split by columns, and after embeddings: the sum over the ranks.
  virtual at::Tensor leave(const at::Tensor& partial) const = 0;
  // After what every rank has computed alike, from all tokens and weights that it holds whole.
  virtual at::Tensor leave_whole(const at::Tensor& whole) const = 0;
  // Before what each token meets on one rank alone (routers and their experts): this rank's share of the tokens; and back to `tokens` of them,
  // which own_tokens was given.
  virtual at::Tensor own_tokens(const at::Tensor& hidden) const = 0;
  virtual at::Tensor all_tokens(const at::Tensor& own, std::int64_t tokens) const = 0;
  // The same tokens of what stands beside the activations: all tokens [tokens, ...] -> those that own_tokens gives.
  virtual at::Tensor share(const at::Tensor& x) const = 0;
  // In place and over the ranks, without gradients: for what each knows of its rows of the vocabulary.
  virtual void sum(const at::Tensor& values) const = 0;
  virtual void max(const at::Tensor& values) const = 0;
};

// How tokens reach the experts that they chose, and how the results come back; all-to-all and all-gather are other implementations.
class TokenDispatcher {
 public:
  virtual ~TokenDispatcher() = default;
  // hidden [tokens, hidden] -> float32 [tokens, hidden], the weighted sum of each token's experts. Calls `meanwhile`, where there is one, once:
  // while tokens travel, if they do.
  virtual at::Tensor forward(const at::Tensor& hidden, const Routing& routing, const Experts& experts, const std::function<void()>& meanwhile) const = 0;
  // As nn::drop_beyond_capacity, over the tokens of all ranks that have shares of the same rows.
  virtual void drop_beyond_capacity(Routing& routing, const at::Tensor& real, double factor) const = 0;
};

// softmax(q k^T) v with a causal mask; context parallelism is another implementation.
class AttentionCore {
 public:
  virtual ~AttentionCore() = default;
  //   query    [tokens, heads, head_dim]
  //   key      [tokens, kv_heads, head_dim]
  //   value    [tokens, kv_heads, value_dim]
  //   returns  [tokens, heads * value_dim]
  virtual at::Tensor forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const SequenceShape& shape,
                             const AttentionOptions& options) const = 0;
  // This rank's tokens of x [all tokens of the rows, ...]. Here and below `shape` is this rank's.
  virtual at::Tensor own_positions(const at::Tensor& x, const SequenceShape& shape) const = 0;

  // For what passes a state along the sequence, each head by itself: in between a rank has every token of the rows, in order, of its share of the
  // heads (arXiv:2309.14509).
  struct HeadShare {
    std::int64_t index = 0, count = 1;
  };
  virtual HeadShare head_share() const = 0;
  //   x  [tokens, heads, width] -> [all tokens, heads / count, width]
  virtual at::Tensor split_heads(const at::Tensor& x, const SequenceShape& shape) const = 0;
  //   x  [all tokens, heads / count, width] -> [tokens, heads, width]
  virtual at::Tensor join_heads(const at::Tensor& x, const SequenceShape& shape) const = 0;
};

// Where a pipeline enters when a model runs forward alone: what one of its ranks has found comes to all of them. Places in the model are counted
// in blocks: -1 is the embedding, and one past the last the final norm and the head.
class PipelineRanks {
 public:
  virtual ~PipelineRanks() = default;
  virtual std::int64_t holder_of(std::int64_t block) const = 0;
  virtual bool holds(std::int64_t block) const = 0;  // whether this rank is the holder
  // The holder's `here`, which may be undefined, on every rank; what others give is not looked at.
  virtual at::Tensor from_holder(std::int64_t block, const at::Tensor& here) const = 0;
};

// The seams together; one process gets the local ones from local_seams().
struct Seams {
  const TensorRegion& tensor;
  const TokenDispatcher& dispatcher;
  const AttentionCore& attention;
  const PipelineRanks* pipeline = nullptr;  // null where every rank has all blocks
};
const Seams& local_seams();

enum class Mode { kTraining, kInference };

struct ForwardContext {
  SequenceShape shape;
  const Seams& seams;
  Mode mode = Mode::kTraining;
  double expert_capacity_factor = 0;  // 0 = dropless
  KvCache* cache = nullptr;           // generation only
  Positions positions() const { return positions_of(shape, cache ? cache->length : 0); }
};

}  // namespace sluice::nn
