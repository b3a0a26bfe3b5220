// The tensor table: one row a parameter, from which loading, saving, sharding and planning are derived.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/nn/parameter.h"

namespace sluice::models {

// What tensor and expert parallelism split.
//   kReplicated     nothing: every rank holds all of it
//   kRows           dimension 0
//   kColumns        the last dimension
//   kVocabulary     dimension 0, into parts of which the last may be smaller or empty
//   kKvRows         dimension 0 by `kv_heads` heads, of which several ranks hold the same where there are fewer heads than ranks
//   kSegments       dimension 0, each of `segments` by itself
//   kOnce           nothing: the first rank holds it, and it is zero on the others (a bias that is added before a sum over the ranks)
//   kExpertRows     dimension 0 by experts; dimension 1 by expert-tensor parallelism
//   kExpertGateUp   the same, gate rows and up rows (the halves of dimension 1) each by themselves
//   kExpertColumns  dimension 0 by experts, dimension 2 by expert-tensor parallelism
//   kExpertsOnce    dimension 0 by experts; the first rank of expert-tensor parallelism holds it, as kOnce
//   kExperts        dimension 0 by experts
enum class Shard { kReplicated, kRows, kColumns, kVocabulary, kKvRows, kSegments, kOnce, kExpertRows, kExpertGateUp, kExpertColumns, kExpertsOnce, kExperts };

bool holds_experts(Shard shard);  // whether dimension 0 is the experts

// How a HF tensor stands to ours: element for element, or with its last two dimensions swapped (weights stored [in, out]).
enum class HfLayout { kSame, kTransposed };

// One tensor of a HF checkpoint, and the contiguous elements of our parameter that it fills.
struct HfPart {
  std::string name;                 // "model.layers.0.block_sparse_moe.experts.3.w1.weight"
  std::vector<std::int64_t> shape;  // as HF stores it
  std::int64_t offset = 0;          // of its first element in ours
  HfLayout layout = HfLayout::kSame;
  std::string other_name = "";  // under which some checkpoints hold it instead: read, never written
};

struct TensorSpec {
  nn::ParameterSpec parameter;
  Shard shard = Shard::kReplicated;
  std::vector<HfPart> hf;  // in the order of their offsets; together they cover the parameter exactly
  // HF names under which some checkpoints hold the same values once more, in hf[0]'s shape: checked on import, written on export.
  std::vector<std::string> hf_copies = {};
  std::int64_t kv_heads = 0;               // of kKvRows
  std::int64_t undivided = 0;              // held whole by tensor ranks whose number does not divide this; 0 = never
  std::vector<std::int64_t> segments = {};  // of kSegments; they add up to dimension 0
};

// A parameter that is one HF tensor; kTransposed: HF's shape is ours with the last two dimensions swapped.
TensorSpec whole(nn::ParameterSpec parameter, Shard shard, std::string hf_name, HfLayout layout = HfLayout::kSame);

// What most tables are made of. Matrices are computed in the model's precision; norms, biases and routers stay float32.
nn::ParameterSpec matrix(std::string name, std::vector<std::int64_t> shape);
nn::ParameterSpec norm(std::string name, std::int64_t width, nn::Init init = nn::Init::kOnes);  // kZeros: stored around zero
nn::ParameterSpec bias(std::string name, std::vector<std::int64_t> shape);
nn::ParameterSpec router(std::string name, std::int64_t experts, std::int64_t hidden);

// What HF calls the three weights of an expert.
struct ExpertNames {
  std::string gate = "gate_proj", up = "up_proj", down = "down_proj";
};

// Adds `ours`.gate_up.weight [experts, 2 * ffn, hidden] (gate rows above up rows, expert after expert) and `ours`.down.weight
// [experts, hidden, ffn], each from one HF tensor an expert: `hf`.3.gate_proj.weight.
struct ExpertSizes {
  std::int64_t experts = 0, ffn = 0, hidden = 0;
};
void add_experts(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, const ExpertSizes& sizes, const ExpertNames& names = {});

// Adds the three linears of nn::GatedMlp, each under HF's name `hf`.gate_proj.weight and so on.
void add_gated_mlp(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, std::int64_t ffn, std::int64_t hidden);

// Adds the linear `ours`.weight [out, in] (and `ours`.bias [out]) from `hf`.weight (and `hf`.bias).
enum class Bias { kNone, kAdded };
void add_linear(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, std::int64_t out, std::int64_t in, Shard shard,
                Bias bias = Bias::kNone);
// The same for keys or values, whose rows are those of `heads` heads of `head_dim` each.
struct KvSizes {
  std::int64_t heads = 0, head_dim = 0, in = 0;
};
void add_kv_linear(std::vector<TensorSpec>& table, const std::string& ours, const std::string& hf, const KvSizes& sizes, Bias bias = Bias::kNone);

std::vector<nn::ParameterSpec> parameter_specs(const std::vector<TensorSpec>& table);

// HF's order: embeddings, layers by number, norm, head; experts by number. What an export writes, copies left out.
std::vector<HfPart> hf_tensors(const std::vector<TensorSpec>& table);

}  // namespace sluice::models
