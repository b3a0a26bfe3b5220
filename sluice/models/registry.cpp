#include "sluice/models/registry.h"

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/models/deepseek/deepseek.h"
#include "sluice/models/gemma/gemma.h"
#include "sluice/models/glm4_moe/glm4_moe.h"
#include "sluice/models/gpt2/gpt2.h"
#include "sluice/models/gpt_neox/gpt_neox.h"
#include "sluice/models/gpt_oss/gpt_oss.h"
#include "sluice/models/llama/llama.h"
#include "sluice/models/mixtral/mixtral.h"
#include "sluice/models/olmoe/olmoe.h"
#include "sluice/models/qwen3_next/qwen3_next.h"
#include "sluice/models/qwen_moe/qwen_moe.h"

namespace sluice::models {

const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> all{llama(), mistral(), qwen2(), qwen3(), gemma(), gemma2(), gpt2(), gpt_neox(), mixtral(), qwen2_moe(), qwen3_moe(), olmoe(),
                                            deepseek_v2(), deepseek_v3(), glm4_moe(), gpt_oss(), qwen3_next()};
  return all;
}

const Architecture& find_architecture(const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const Architecture& architecture : architectures()) {
    if (architecture.name == name) return architecture;
    known.push_back(architecture.name);
  }
  throw Error(where + ": architecture '" + name + "' is not one that Sluice knows", "use " + join_or(known));
}

}  // namespace sluice::models
