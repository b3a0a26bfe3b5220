#include "sluice/models/llama/llama.h"

#include "sluice/models/llama/config.h"
#include "sluice/models/llama/qwen_config.h"

namespace sluice::models {

Architecture llama() {
  return {"llama", "LlamaForCausalLM", [] { return std::make_unique<LlamaConfig>(); }};
}
Architecture mistral() {
  return {"mistral", "MistralForCausalLM", [] { return std::make_unique<MistralConfig>(); }};
}
Architecture qwen2() {
  return {"qwen2", "Qwen2ForCausalLM", [] { return std::make_unique<Qwen2Config>(); }};
}
Architecture qwen3() {
  return {"qwen3", "Qwen3ForCausalLM", [] { return std::make_unique<Qwen3Config>(); }};
}

}  // namespace sluice::models
