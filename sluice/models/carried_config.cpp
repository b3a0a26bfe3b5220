#include "sluice/models/carried_config.h"

namespace sluice::models {

OrderedJson carried_config(const Json& source, const ModelConfig& config, at::ScalarType dtype) {
  OrderedJson out = OrderedJson::parse(source.dump());
  const OrderedJson ours = config.write_hf(dtype);
  for (const auto& [key, value] : ours.items()) {
    const bool habit = key == "output_router_logits" || key == "use_cache";
    const bool same_width = key == "head_dim" && out.contains(key) && out[key].is_null();  // null is the width that we write as a number
    if (!same_width && !(habit && out.contains(key))) out[key] = value;
  }
  for (const char* key : {"quantization_config", "auto_map"}) out.erase(key);
  return out;
}

}  // namespace sluice::models
