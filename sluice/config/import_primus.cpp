// Primus's post-training YAML (its Megatron-Bridge back end). Most of its names are ours, or other spellings of ours.
#include "sluice/config/import_rules.h"

namespace sluice::config {
namespace {

// Conversations need the length of a row, which Primus's pages leave to its defaults.
void data_path(const Setting& setting, Translation& translation) {
  translation.set(setting, "data.path", setting.value);
  translation.supply("data.seq_length", kUsualSeqLength, "the file gives no length of a row");
}

}  // namespace

std::vector<ImportRule> primus_rules() {
  std::vector<ImportRule> rules{
      passed_over_if("framework", {"megatron_bridge", "megatron", "torchtitan"}, "Sluice trains by itself", "leave it out"),
      passed_over("convert_from_hf", "model.load reads Hugging Face's folders and ours alike"),
      {"data_path", data_path},
      {"data.data_path", data_path},
      renamed("training.seq_length", "data.seq_length"),
      renamed("training.save_interval", "checkpoint.save_interval"),
      renamed("training.log_interval", "log.interval"),
      passed_over_if("training.optimizer", {"adam", "adamw"}, "AdamW is what there is", "use adam"),
  };
  for (ImportRule& rule : parallel_sizes("parallelism.")) rules.push_back(std::move(rule));
  for (ImportRule& rule : parallel_sizes("model.")) rules.push_back(std::move(rule));
  return rules;
}

}  // namespace sluice::config
