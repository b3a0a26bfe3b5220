// VERL's YAML of supervised fine-tuning (its FSDP and Megatron trainers).
#include <algorithm>

#include "sluice/config/import_rules.h"

namespace sluice::config {
namespace {

const char* const kHostMemory = "weights, gradients and optimizer states are in main memory already";

// One file; VERL joins several end to end.
ImportRule file(std::string from, std::string to) {
  return {std::move(from), [to](const Setting& setting, Translation& translation) {
            if (setting.value.items.size() != 1)
              return translation.refuse(setting, "is not one file",
                                        "give one, or several with weights: data.blend=[0.5, a.parquet, 0.5, b.parquet]");
            translation.set(setting, to, {setting.value.items});
            if (to != "data.path") return;
            const bool turns = translation.find("data.multiturn.enable") && is_true(*translation.find("data.multiturn.enable"));
            if (!turns && !translation.find("data.prompt_key"))
              translation.supply("data.format", "prompt_response", "VERL's columns prompt and response");
            translation.supply("data.seq_length", "1024", "VERL's own default of data.max_length");
          }};
}

// `data.prompt_key: prompt, data.response_key: response` is a format of its own; other names are columns of format custom.
ImportRule column(std::string from, std::string usual, std::string to) {
  return {std::move(from), [=](const Setting& setting, Translation& translation) {
            if (translation.says("data.multiturn.enable", "true")) return translation.pass_over(setting, "the rows are lists of messages");
            const bool is_usual = (!translation.find("data.prompt_key") || translation.says("data.prompt_key", "prompt")) &&
                                  (!translation.find("data.response_key") || translation.says("data.response_key", "response"));
            translation.supply("data.format", is_usual ? "prompt_response" : "custom", "VERL's two columns");
            if (is_usual) return translation.pass_over(setting, "format prompt_response has the column " + usual);
            translation.set(setting, to, setting.value);
          }};
}

void multi_turn(const Setting& setting, Translation& translation) {
  if (!is_true(setting)) return translation.pass_over(setting, "data.prompt_key and data.response_key hold");
  const Setting* const messages = translation.find("data.multiturn.messages_key");
  const bool is_usual = !messages || text_of(messages->value) == "messages";
  translation.set(setting, "data.format", {{is_usual ? "messages" : "custom"}});
  if (!is_usual) translation.set(*messages, "data.columns.messages", messages->value);
}

void lora_rank(const Setting& setting, Translation& translation) {
  if (text_of(setting.value) == "0") return translation.pass_over(setting, "every weight is trained");
  translation.set(setting, "lora.use_lora", {{"true"}});
  translation.set(setting, "lora.rank", setting.value);
}

ImportRule lora(std::string from, std::string to) {
  return {std::move(from), [to](const Setting& setting, Translation& translation) {
            const Setting* const rank = translation.find("model.lora_rank");
            if (!rank || text_of(rank->value) == "0") return translation.pass_over(setting, "model.lora_rank is 0");
            translation.set(setting, to, setting.value);
          }};
}

void betas(const Setting& setting, Translation& translation) {
  if (setting.value.items.size() != 2) return translation.refuse(setting, "is not two numbers", "write [0.9, 0.95]");
  translation.set(setting, "optimizer.beta1", {{setting.value.items[0]}});
  translation.set(setting, "optimizer.beta2", {{setting.value.items[1]}});
}

// A share of the peak.
void min_lr_ratio(const Setting& setting, Translation& translation) {
  double ratio = 0, peak = 0;
  const Setting* const lr = translation.find("optim.lr");
  if (!lr || !parse_value(setting.value, ratio).empty() || !parse_value(lr->value, peak).empty())
    return translation.refuse(setting, "needs optim.lr beside it", "give both as numbers");
  translation.set(setting, "optimizer.min_lr", {{format(ratio * peak)}});
}

// Held-out rows can only be looked at where there are some.
void test_freq(const Setting& setting, Translation& translation) {
  if (!translation.find("data.val_files")) return translation.pass_over(setting, "there is no data.val_files");
  if (text_of(setting.value) == "-1") return translation.pass_over(setting, "held-out rows are evaluated at the end");
  translation.set(setting, "train.validation_interval", setting.value);
}

void save_contents(const Setting& setting, Translation& translation) {
  const auto& parts = setting.value.items;
  if (std::find(parts.begin(), parts.end(), "hf_model") != parts.end())
    translation.set(setting, "checkpoint.export_hf", {{"true"}});
  else
    translation.pass_over(setting, "checkpoints hold all that a resume needs");
}

std::vector<ImportRule> data_rules() {
  return {
      file("data.train_files", "data.path"),
      file("data.val_files", "data.validation_path"),
      renamed("data.train_batch_size", "train.global_batch_size"),
      renamed("data.micro_batch_size_per_gpu", "train.micro_batch_size"),
      renamed("data.micro_batch_size", "train.micro_batch_size"),
      renamed("data.max_length", "data.seq_length"),
      renamed("data.truncation", "data.truncation", {{"error", "drop"}},
              "VERL's error stops at a longer row; drop leaves it out and counts it"),
      {"data.multiturn.enable", multi_turn},
      column("data.prompt_key", "prompt", "data.columns.prompt"),
      column("data.response_key", "response", "data.columns.response"),
      passed_over("data.multiturn.*", "data.multiturn.enable decides, and tools are read from the column `tools`"),
      passed_over_if("data.prompt_dict_keys", {"[]"}, "no column is taken apart",
                     "make the text a column of its own, and name it in data.columns"),
      passed_over_if("data.response_dict_keys", {"[]"}, "no column is taken apart",
                     "make the text a column of its own, and name it in data.columns"),
      passed_over_if("data.train_max_samples", {"-1"}, "all rows are used", "set data.max_samples"),
      passed_over("data.use_shm", "files are read where they lie"),
      passed_over("data.balance_dp_token", "there is one process"),
      passed_over("data.use_dynamic_bsz", "micro-batches change no result"),
      passed_over("data.max_token_len_per_gpu", "micro-batches change no result"),
      passed_over("data.num_workers", "rows are read as they are needed"),
      passed_over("data.pad_mode", "padding changes no result"),
  };
}

std::vector<ImportRule> model_rules() {
  return {
      renamed("model.partial_pretrain", "model.load"),
      renamed("model.path", "model.load"),
      renamed("model.tokenizer_path", "model.tokenizer"),
      renamed("model.enable_gradient_checkpointing", "memory.recompute", {{"true", "full"}, {"false", "none"}}),
      renamed("model.override_config.moe_config.freeze_moe_router", "moe.freeze_router"),
      {"model.lora_rank", lora_rank},
      lora("model.lora_alpha", "lora.alpha"),
      lora("model.target_modules", "lora.target_modules"),
      passed_over("model.trust_remote_code", "no code of a model's folder is ever run"),
      passed_over("model.use_shm", "weights are read where they lie"),
      passed_over("model.use_liger", "kernels change no result"),
      passed_over("model.strategy", "there is one process"),
      passed_over("model.fsdp_config.*", "there is one process"),
      passed_over("model.use_remove_padding", "padding changes no result"),
      passed_over("model.enable_activation_offload", kHostMemory),
  };
}

std::vector<ImportRule> engine_rules(const std::string& section) {
  std::vector<ImportRule> rules = parallel_sizes(section);
  for (ImportRule& rule : std::vector<ImportRule>{
           passed_over(section + "*_offload", kHostMemory),
           passed_over(section + "use_distributed_optimizer", "there is one process"),
           passed_over(section + "use_mbridge", "model.load reads Hugging Face's folders"),
           passed_over(section + "override_ddp_config.*", "exchanges overlap computation always"),
           passed_over_if(section + "use_dist_checkpointing", {"false"}, "model.load reads Hugging Face's folders",
                          "turn the folder into Hugging Face's layout with `sluice convert`, and give that as model.load"),
           renamed(section + "seed", "train.seed"),
           renamed(section + "dtype", "train.precision", {{"bfloat16", "bf16"}, {"float32", "fp32"}}),
           renamed(section + "override_transformer_config.recompute_granularity", "memory.recompute"),
           renamed(section + "override_transformer_config.recompute_modules", "memory.recompute_modules"),
           renamed(section + "override_transformer_config.recompute_method", "memory.recompute_method"),
           renamed(section + "override_transformer_config.recompute_num_layers", "memory.recompute_layers"),
       }) {
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::vector<ImportRule> optim_rules() {
  return {
      {"optim.betas", betas},
      {"optim.min_lr_ratio", min_lr_ratio},
      renamed("optim.lr_warmup_steps_ratio", "optimizer.warmup_fraction"),
      renamed("optim.warmup_steps_ratio", "optimizer.warmup_fraction"),
      {"optim.lr_warmup_steps",
       [](const Setting& setting, Translation& translation) {
         if (text_of(setting.value) == "-1")
           translation.pass_over(setting, "the ratio decides");
         else
           translation.set(setting, "optimizer.warmup_iters", setting.value);
       }},
      renamed("optim.lr_scheduler", "optimizer.schedule"),
      renamed("optim.lr_scheduler_type", "optimizer.schedule"),
      renamed("optim.lr_decay_style", "optimizer.schedule"),
      passed_over_if("optim.num_cycles", {"0.5"}, "half a cosine is what there is", "use 0.5"),
      passed_over_if("optim.optimizer", {"adam", "adamw"}, "AdamW is what there is", "use adam"),
      passed_over("optim.total_training_steps", "the schedule has the length of the run"),
  };
}

std::vector<ImportRule> trainer_rules() {
  return {
      renamed("trainer.default_local_dir", "output_dir"),
      renamed("trainer.total_epochs", "train.epochs"),
      renamed("trainer.total_training_steps", "train.train_iters", {{"-1", "0"}}),
      renamed("trainer.save_freq", "checkpoint.save_interval", {{"-1", "0"}}),
      {"trainer.test_freq", test_freq},
      renamed("trainer.seed", "train.seed"),
      renamed("trainer.max_ckpt_to_keep", "checkpoint.keep"),
      {"trainer.checkpoint.save_contents", save_contents},
      {"checkpoint.save_contents", save_contents},
      passed_over("trainer.checkpoint.*", "checkpoints hold all that a resume needs"),
      passed_over("checkpoint.*_contents", "checkpoints hold all that a resume needs"),
      passed_over("trainer.nnodes", "it is no part of a recipe"),
      passed_over("trainer.n_gpus_per_node", "it is no part of a recipe"),
      passed_over("trainer.project_name", "the run folder has its figures and its report"),
      passed_over("trainer.experiment_name", "the run folder has its figures and its report"),
      passed_over("trainer.logger", "the run folder has metrics.jsonl and TensorBoard files"),
      passed_over("trainer.device", "it is no part of a recipe"),
      passed_over_if("trainer.resume_mode", {"auto", "disable"}, "`sluice train --resume latest` goes on",
                     "give the step folder to `sluice train --resume`"),
      renamed("ulysses_sequence_parallel_size", "parallelism.context_parallel_size"),
      passed_over("use_remove_padding", "padding changes no result"),
      passed_over_if("defaults", {"[_self_]"}, "it names this file",
                     "write out the whole configuration with Hydra's `--cfg job --resolve`, and import that"),
  };
}

}  // namespace

std::vector<ImportRule> verl_rules() {
  std::vector<ImportRule> rules;
  for (const auto& section :
       {data_rules(), model_rules(), engine_rules("megatron."), engine_rules("engine."), optim_rules(), trainer_rules()}) {
    rules.insert(rules.end(), section.begin(), section.end());
  }
  return rules;
}

}  // namespace sluice::config
