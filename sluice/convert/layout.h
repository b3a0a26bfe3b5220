// Which shard of a native folder holds which part of which parameter.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/checkpoint/sharded.h"
#include "sluice/models/tensor_table.h"

namespace sluice::convert {

// Shards as the ranks of a layout would write them; any layout reads any other's. With all at 1, `num_shards` files of about equal size
// that hold whole parameters; 0 = as many as keep each below 5 GB.
struct Layout {
  std::int64_t tensor_parallel = 1, pipeline_parallel = 1, expert_parallel = 1;
  std::int64_t num_shards = 0;

  bool is_plain() const { return tensor_parallel == 1 && pipeline_parallel == 1 && expert_parallel == 1; }
  void check(const std::vector<models::TensorSpec>& table, Violations& violations) const;
};

// The parts of each shard, in the table's order. Over all shards every element stands exactly once.
std::vector<std::vector<checkpoint::TensorPart>> shard_parts(const std::vector<models::TensorSpec>& table, const Layout& layout,
                                                             const std::function<checkpoint::DType(const models::TensorSpec&)>& dtype);

}  // namespace sluice::convert
