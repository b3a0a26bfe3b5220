// A model that is never in memory as a whole: its layers' weights are read one after another, in float32.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sluice/models/model.h"

namespace sluice::convert {

class StreamedModel {
 public:
  // Fills `out`, float32, with the values of a parameter.
  using Read = std::function<void(const models::TensorSpec& spec, const at::Tensor& out)>;
  StreamedModel(const models::ModelConfig& config, Read read);

  const models::Model& model() const { return *model_; }  // computes with what is loaded
  void load_outside_layers();                             // embedding, final norm, head and what else is in no layer
  void load_layer(std::size_t layer);                     // over the layer before, whose values are gone
  // Whether both loaded the same values last, to the bit, under the same names.
  bool loaded_the_same(const StreamedModel& other) const;

 private:
  void load(const std::vector<const models::TensorSpec*>& specs);

  std::vector<models::TensorSpec> table_;
  Read read_;
  nn::ParameterStore store_;
  std::unique_ptr<models::Model> model_;
  std::vector<std::vector<const models::TensorSpec*>> of_layer_;
  std::vector<const models::TensorSpec*> outside_;
  std::vector<const nn::Parameter*> loaded_;   // last
  std::map<std::string, at::Tensor> buffers_;  // by the name inside the layer: fresh memory for each would cost more than the reading
};

}  // namespace sluice::convert
