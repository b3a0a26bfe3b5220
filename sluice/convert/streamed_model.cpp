#include "sluice/convert/streamed_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>

namespace sluice::convert {
namespace {

constexpr std::string_view kLayers = "layers.";

// "layers.12.mlp.up" -> 12 and "mlp.up"; what is in no layer: -1 and its name.
std::pair<std::int64_t, std::string> place_of(const std::string& name) {
  std::int64_t layer = -1;
  if (!name.starts_with(kLayers)) return {layer, name};
  std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  return {layer, name.substr(name.find('.', kLayers.size()))};
}

}  // namespace

StreamedModel::StreamedModel(const models::ModelConfig& config, Read read)
    : table_(config.tensor_table()),
      read_(std::move(read)),
      store_(models::parameter_specs(table_)),
      of_layer_(static_cast<std::size_t>(config.num_layers())) {
  // Shape and type are all that building a model looks at: one number stands for all values until they are loaded.
  for (nn::Parameter& parameter : store_.all()) parameter.value = at::zeros({1}, at::kFloat).expand(parameter.spec.shape);
  model_ = config.build(store_);
  for (const models::TensorSpec& spec : table_) {
    const std::int64_t layer = place_of(spec.parameter.name).first;
    (layer < 0 ? outside_ : of_layer_.at(static_cast<std::size_t>(layer))).push_back(&spec);
  }
}

void StreamedModel::load_outside_layers() { load(outside_); }
void StreamedModel::load_layer(std::size_t layer) { load(of_layer_.at(layer)); }

void StreamedModel::load(const std::vector<const models::TensorSpec*>& specs) {
  loaded_.clear();
  for (const models::TensorSpec* spec : specs) {
    at::Tensor& buffer = buffers_[place_of(spec->parameter.name).second];
    if (!buffer.defined() || buffer.sizes() != at::IntArrayRef(spec->parameter.shape))
      buffer = nn::empty_weights(spec->parameter.shape, at::kFloat);
    read_(*spec, buffer);
    nn::Parameter& parameter = store_.at(spec->parameter.name);
    parameter.value = buffer;
    loaded_.push_back(&parameter);
  }
}

bool StreamedModel::loaded_the_same(const StreamedModel& other) const {
  return std::ranges::equal(loaded_, other.loaded_, [](const nn::Parameter* a, const nn::Parameter* b) {
    return a->spec.name == b->spec.name && at::equal(a->value, b->value);
  });
}

}  // namespace sluice::convert
