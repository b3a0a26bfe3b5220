#include "sluice/models/export_note.h"

#include "sluice/models/deepseek/config.h"
#include "sluice/models/qwen_moe/config.h"

namespace sluice::models {

std::string export_note(const ModelConfig& config) {
  if (const auto* qwen = dynamic_cast<const Qwen2MoeConfig*>(&config); qwen && qwen->use_sliding_window) {
    return "transformers 4's own qwen2_moe has the sliding window in other layers and computes other logits from this export: read it with transformers 5";
  }
  const auto* deepseek = dynamic_cast<const DeepseekV2Config*>(&config);
  // The factor on attention scores is 1 without it.
  if (!deepseek || deepseek->rope_scaling.mscale_all_dim.value_or(0) == 0) return "";
  return "transformers 4's own deepseek_v2 leaves out mscale_all_dim's factor on attention scores and computes other logits from this export: "
         "read it with transformers 5, or with DeepSeek's code";
}

}  // namespace sluice::models
