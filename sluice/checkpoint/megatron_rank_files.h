// Which rank wrote which mp_rank_* file, and what its tensors are called in the whole model.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/checkpoint/pickle.h"

namespace sluice::checkpoint {

struct MegatronRankPath {
  fs::path file;
  std::vector<int> numbers;  // of the folder's name: tensor rank, then pipeline and expert rank where there are several
};

// The files of a folder, sorted by their numbers. Error when there are none.
std::vector<MegatronRankPath> find_megatron_ranks(const fs::path& folder);

// One file's ranks, and what it holds.
struct MegatronRank {
  int tensor = 0, pipeline = 0, expert = 0;
  std::vector<const PickleValue*> chunks;  // the state dicts of its virtual stages
  std::string where;
};

// A tensor of one rank under its global name.
struct MegatronRankTensor {
  std::string name;
  std::size_t rank;  // into the list of ranks
  const PickleValue* value;
};

// `root` is the archive's value. Error when it holds no model.
MegatronRank describe_megatron_rank(const MegatronRankPath& path, const PickleValue& root);

// All tensors of all ranks. Layers count on from stage to stage, a virtual stage after all stages of the one before; the experts of
// rank e follow those of rank e - 1. Error when the ranks of a stage disagree about its layers or experts.
std::vector<MegatronRankTensor> name_megatron_tensors(const std::vector<MegatronRank>& ranks);

}  // namespace sluice::checkpoint
