// The tensor table: one row a parameter, from which loading, saving, sharding and planning are derived.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/nn/parameter.h"

namespace sluice::models {

// Which dimension tensor and expert parallelism split. kGateUp: dimension 1, gate rows and up rows each on their own; kQkvRows: dimension 0,
// the rows of queries, keys and values each on their own.
enum class Shard { kReplicated, kRows, kColumns, kQkvRows, kExperts, kExpertGateUp, kExpertColumns };

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

std::vector<nn::ParameterSpec> parameter_specs(const std::vector<TensorSpec>& table);

// HF's order: embeddings, layers by number, norm, head; experts by number. What an export writes, copies left out.
std::vector<HfPart> hf_tensors(const std::vector<TensorSpec>& table);

}  // namespace sluice::models
