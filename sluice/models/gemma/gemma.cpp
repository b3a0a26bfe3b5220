#include "sluice/models/gemma/gemma.h"

#include "sluice/models/gemma/config.h"

namespace sluice::models {

Architecture gemma() {
  return {"gemma", "GemmaForCausalLM", [] { return std::make_unique<GemmaConfig>(); }};
}
Architecture gemma2() {
  return {"gemma2", "Gemma2ForCausalLM", [] { return std::make_unique<Gemma2Config>(); }};
}

}  // namespace sluice::models
