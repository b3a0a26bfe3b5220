// The spellings that people bring along, each an alias of one setting.
#include <set>

#include "sluice/launch/config.h"
#include "sluice/train/recipe.h"

namespace sluice::train {
namespace {

// Names of HF's TrainingArguments and of Megatron's optimizer that mean exactly what a setting here means. People write them at the top
// level, in `train:` (`training:`), or in the section that the setting has here.
std::vector<config::Alias> arguments() {
  static const std::vector<config::AliasValue> recompute{{"true", "full"}, {"false", "none"}}, precision{{"true", "bf16"}, {"false", "fp32"}},
      schedules{{"warmup_stable_decay", "wsd"}, {"wsd", "wsd"}, {"constant_with_warmup", "constant"}};
  static const std::vector<config::Alias> all{
      {"learning_rate", "optimizer.lr"},
      {"weight_decay", "optimizer.weight_decay"},
      {"max_grad_norm", "optimizer.clip_grad"},
      {"adam_beta1", "optimizer.beta1"},
      {"adam_beta2", "optimizer.beta2"},
      {"adam_epsilon", "optimizer.eps"},
      {"adam_eps", "optimizer.eps"},
      {"warmup_steps", "optimizer.warmup_iters"},
      {"warmup_ratio", "optimizer.warmup_fraction"},
      {"lr_warmup_iters", "optimizer.warmup_iters"},
      {"lr_warmup_fraction", "optimizer.warmup_fraction"},
      {"lr_scheduler_type", "optimizer.schedule", schedules},
      {"lr_decay_style", "optimizer.schedule", schedules},
      {"per_device_train_batch_size", "train.micro_batch_size"},
      {"gradient_accumulation_steps", "train.gradient_accumulation_steps"},
      {"num_train_epochs", "train.epochs"},
      {"max_steps", "train.train_iters", {{"-1", "0"}}},
      {"eval_steps", "train.validation_interval"},
      {"eval_interval", "train.validation_interval"},
      {"save_steps", "checkpoint.save_interval"},
      {"logging_steps", "log.interval"},
      {"bf16", "train.precision", precision},
      {"gradient_checkpointing", "memory.recompute", recompute},
      {"enable_gradient_checkpointing", "memory.recompute", recompute},
      {"recompute_granularity", "memory.recompute"},
      {"recompute_num_layers", "memory.recompute_layers"},
      {"model_name_or_path", "model.load"},
  };
  return all;
}

// An argument under each name that it may have; none hides a setting.
void add_arguments(std::vector<config::Alias>& out) {
  for (const config::Alias& argument : arguments()) {
    const std::string section = argument.to.substr(0, argument.to.find('.') + 1);
    for (const std::string& prefix : std::set<std::string>{"", "train.", section}) {
      if (const std::string from = prefix + argument.from; from != argument.to) out.push_back({from, argument.to, argument.values});
    }
  }
}

std::vector<config::Alias> make_aliases() {
  std::vector<config::Alias> all{
      // Sections of Primus and Megatron-Bridge, and settings that stand elsewhere there.
      {"training.lr", "optimizer.lr"},
      {"training.min_lr", "optimizer.min_lr"},
      {"training.weight_decay", "optimizer.weight_decay"},
      {"training.lr_warmup_iters", "optimizer.warmup_iters"},
      {"training.clip_grad", "optimizer.clip_grad"},
      {"training.*", "train.*"},
      {"train.lr", "optimizer.lr"},
      {"train.min_lr", "optimizer.min_lr"},
      {"optim.*", "optimizer.*"},
      {"scheduler.*", "optimizer.*"},
      {"rng.seed", "train.seed"},
      {"train.gradient_accumulation", "train.gradient_accumulation_steps"},
      {"train.check_weight_hash_across_dp_replicas_interval", "train.check_replicas_interval"},
      {"train.output_dir", "output_dir"},
      {"checkpointing.save", "output_dir"},
      {"checkpoint.save", "output_dir"},
      {"checkpointing.*", "checkpoint.*"},
      {"data.data_path", "data.path"},
      {"data.dataset_format", "data.format"},
      {"data.prompt_template", "data.template"},
      {"data.train_files", "data.path"},
      {"data.val_files", "data.validation_path"},
      {"data.data_blend", "data.blend"},
      {"data.max_seq_length", "data.seq_length"},
      {"dataset.*", "data.*"},
      {"logging.*", "log.*"},
      {"logger.log_interval", "log.interval"},
      {"lr", "optimizer.lr"},
      // Parallel sizes are the model's in Megatron.
      {"model.tensor_model_parallel_size", "parallelism.tensor_model_parallel_size"},
      {"model.pipeline_model_parallel_size", "parallelism.pipeline_model_parallel_size"},
      {"model.expert_model_parallel_size", "parallelism.expert_model_parallel_size"},
      {"model.context_parallel_size", "parallelism.context_parallel_size"},
      {"model.expert_tensor_parallel_size", "parallelism.expert_tensor_parallel_size"},
      {"model.sequence_parallel", "parallelism.sequence_parallel"},
      {"model.virtual_pipeline_model_parallel_size", "parallelism.virtual_pipeline_model_parallel_size"},
      {"model.num_layers_per_virtual_pipeline_stage", "parallelism.num_layers_per_virtual_pipeline_stage"},
      {"model.num_layers_in_first_pipeline_stage", "parallelism.num_layers_in_first_pipeline_stage"},
      {"model.num_layers_in_last_pipeline_stage", "parallelism.num_layers_in_last_pipeline_stage"},
      {"parallelism.decoder_first_pipeline_num_layers", "parallelism.num_layers_in_first_pipeline_stage"},
      {"parallelism.decoder_last_pipeline_num_layers", "parallelism.num_layers_in_last_pipeline_stage"},
      {"model.overlap_moe_expert_parallel_comm", "parallelism.overlap_micro_batches"},
      {"parallelism.overlap_moe_expert_parallel_comm", "parallelism.overlap_micro_batches"},
      {"moe.overlap_moe_expert_parallel_comm", "parallelism.overlap_micro_batches"},
      {"overlap_moe_expert_parallel_comm", "parallelism.overlap_micro_batches"},
      // So is recomputation.
      {"model.recompute_granularity", "memory.recompute"},
      {"model.recompute_modules", "memory.recompute_modules"},
      {"model.recompute_method", "memory.recompute_method"},
      {"model.recompute_num_layers", "memory.recompute_layers"},
      {"model.distribute_saved_activations", "memory.distribute_saved_activations"},
      {"recompute_modules", "memory.recompute_modules"},
      {"recompute_method", "memory.recompute_method"},
      {"distribute_saved_activations", "memory.distribute_saved_activations"},
      {"moe.moe_token_dispatcher_type", "moe.token_dispatcher"},
      // Megatron's names of sizes.
      {"model.num_layers", "model.num_hidden_layers"},
      {"model.ffn_hidden_size", "model.intermediate_size"},
      {"model.num_query_groups", "model.num_key_value_heads"},
      {"model.kv_channels", "model.head_dim"},
      {"model.moe_router_topk", "model.num_experts_per_tok"},
      {"model.norm_epsilon", "model.rms_norm_eps"},
      {"model.rotary_base", "model.rope_theta"},
      {"model.init_method_std", "model.initializer_range"},
      {"model.freeze_moe_router", "moe.freeze_router"},
      {"moe.freeze_moe_router", "moe.freeze_router"},
      {"moe.moe_aux_loss_coeff", "moe.router_aux_loss_coef"},
      {"moe.moe_z_loss_coeff", "moe.z_loss_coef"},
      {"moe.capacity_factor", "moe.expert_capacity_factor"},
      {"model.pretrained_checkpoint", "model.load"},
      {"routing_supervision.loss_weight", "routing_supervision.weight"},
      // Primus's and PEFT's names of LoRA's settings.
      {"lora.lora_rank", "lora.rank"},
      {"lora.r", "lora.rank"},
      {"lora.lora_alpha", "lora.alpha"},
      {"lora.lora_dropout", "lora.dropout"},
      {"lora.lora_target_modules", "lora.target_modules"},
      {"use_lora", "lora.use_lora"},
      // Primus's top-level keys and flags.
      {"load", "model.load"},
      {"hf_model_name_or_path", "model.load"},
      {"data_path", "data.path"},
      {"convert_to_hf", "checkpoint.export_hf"},
      {"checkpointing.convert_to_hf", "checkpoint.export_hf"},
      {"hf_save_path", "checkpoint.hf_save_path"},
  };
  all.insert(all.end(), launch::aliases().begin(), launch::aliases().end());
  add_arguments(all);
  return all;
}

}  // namespace

const std::vector<config::Alias>& aliases() {
  static const std::vector<config::Alias> all = make_aliases();
  return all;
}

const std::vector<SizeAlias>& size_aliases() {
  static const std::vector<std::string> experts{"model.num_local_experts", "model.num_experts", "model.n_routed_experts"};
  static const std::vector<SizeAlias> all{
      {"model.num_moe_experts", experts},
      {"model.num_local_experts", experts},
      {"model.num_experts", experts},
      {"model.n_routed_experts", experts},
      {"model.moe_ffn_hidden_size", {"model.moe_intermediate_size", "model.intermediate_size"}},
  };
  return all;
}

const std::vector<Flag>& flags() {
  static const std::vector<Flag> all{
      {"data-file", "data.path"},
      {"data-path", "data.path"},
      {"model-id", "model.load"},
      {"pretrained-checkpoint", "model.load"},
      {"load", "model.load"},
      {"hf-model-name-or-path", "model.load"},
      {"output-dir", "output_dir"},
      {"epochs", "train.epochs"},
      {"train-iters", "train.train_iters"},
      {"lr", "optimizer.lr"},
      {"learning-rate", "optimizer.lr"},
      {"max-samples", "data.max_samples"},
      {"seq-length", "data.seq_length"},
      {"max-seq-length", "data.seq_length"},
      {"max-target-length", "data.max_target_length"},
      {"batch-size", "train.micro_batch_size"},
      {"per-device-batch-size", "train.micro_batch_size"},
      {"micro-batch-size", "train.micro_batch_size"},
      {"global-batch-size", "train.global_batch_size"},
      {"grad-accum", "train.gradient_accumulation_steps"},
      {"gradient-accumulation-steps", "train.gradient_accumulation_steps"},
      {"dataset-format", "data.format"},
      {"prompt-template", "data.template"},
      {"routing-weight", "routing_supervision.weight"},
      {"routing-loss-weight", "routing_supervision.weight"},
      {"seed", "train.seed"},
      {"use-lora", "lora.use_lora", FlagValue::kTrueIfNone},
      {"lora-rank", "lora.rank"},
      {"lora-alpha", "lora.alpha"},
      {"lora-dropout", "lora.dropout"},
      {"lora-target-modules", "lora.target_modules"},
      {"adapter", "lora.adapter"},
      {"convert-to-hf", "checkpoint.export_hf", FlagValue::kTrueIfNone},
      {"hf-save-path", "checkpoint.hf_save_path"},
      {"overlap-moe-expert-parallel-comm", "parallelism.overlap_micro_batches", FlagValue::kTrueIfNone},
      {"async-save", "checkpoint.async_save", FlagValue::kTrueIfNone},
      {"log-level", "log.level"},
  };
  return all;
}

}  // namespace sluice::train
