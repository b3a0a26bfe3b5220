// config.json of a model that came from elsewhere: what its authors wrote in it goes along.
#pragma once
#include "sluice/models/model.h"

namespace sluice::models {

// `source`, the config.json that the model was read from, with all that we write (ModelConfig::write_hf) in place of what stands there:
// keys that we do not know stay as they are. Two that we write say how transformers runs a model, not what it is, and are the source's
// (output_router_logits, use_cache). Left out are quantization_config, since what we write is not quantised, and auto_map, which names
// Python files that do not go along.
OrderedJson carried_config(const Json& source, const ModelConfig& config, at::ScalarType dtype);

}  // namespace sluice::models
