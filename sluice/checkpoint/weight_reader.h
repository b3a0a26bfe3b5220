// A model folder's weights, one parameter at a time.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "sluice/checkpoint/model_io.h"

namespace sluice::checkpoint {

class WeightReader {
 public:
  virtual ~WeightReader() = default;
  // Fills `out`, contiguous, in the parameter's shape and of any floating-point type. Error when bytes do not have their checksum.
  virtual void read(const models::TensorSpec& spec, const at::Tensor& out) = 0;
  // The parameter as it lies in a file, in its shape, only to be read and only while this object lives; undefined where no file holds it in
  // one piece, in our layout and in `dtype`. Error as read().
  virtual at::Tensor mapped(const models::TensorSpec& spec, at::ScalarType dtype) = 0;
};

// Error, which lists them, unless each tensor of the folder is used exactly once and each parameter of `table` is there exactly once; and
// for weights in block-scaled types, which conversion alone reads.
std::unique_ptr<WeightReader> open_weights(const ModelFolder& folder, const std::vector<models::TensorSpec>& table);

// As load_weights into a store for inference (allocate_for_inference), but what `weights` holds as it is computed with stays in the file:
// such a value is only read, and only while `weights` lives. docs/decisions/mapped-weights.md says what that gains and costs.
void map_or_read(WeightReader& weights, const std::vector<models::TensorSpec>& table, nn::ParameterStore& store);

}  // namespace sluice::checkpoint
