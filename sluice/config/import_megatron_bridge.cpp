// Megatron-Bridge's ConfigContainer as YAML, and its overrides. Most names are Megatron's, and so ours.
#include "sluice/config/import_rules.h"

namespace sluice::config {
namespace {

const char* const kOverlaps = "exchanges overlap computation always";
const char* const kSpeed = "it changes no result";
const std::vector<AliasValue> kDistributedOptimizer{{"true", "1"}, {"false", "0"}};

// Megatron's names of fused projections as Hugging Face's.
void lora_targets(const Setting& setting, Translation& translation) {
  Value ours{{}, true};
  for (const std::string& name : setting.value.items) {
    if (name == "linear_qkv")
      ours.items.insert(ours.items.end(), {"q_proj", "k_proj", "v_proj"});
    else if (name == "linear_proj")
      ours.items.push_back("o_proj");
    else if (name == "linear_fc1")
      ours.items.insert(ours.items.end(), {"gate_proj", "up_proj"});
    else if (name == "linear_fc2")
      ours.items.push_back("down_proj");
    else if (name.starts_with("linear_"))
      ours.items.push_back(name.substr(7) + "_proj");  // canonical LoRA's linear_q, linear_k, ...
    else
      return translation.refuse(
          setting, "has " + name + ", which has no name here",
          "use linear_qkv, linear_proj, linear_fc1 and linear_fc2, or set lora.target_modules by Hugging Face's names");
  }
  translation.set(setting, "lora.target_modules", ours, "Hugging Face's names; Mixtral's experts are w1, w3 and w2");
}

// "lora", or a section with its sizes.
void peft(const Setting& setting, Translation& translation) {
  const std::string kind = lower_case(text_of(setting.value));
  if (kind == "lora")
    translation.set(setting, "lora.use_lora", {{"true"}});
  else if (kind == "none")
    translation.set(setting, "lora.use_lora", {{"false"}});
  else
    translation.refuse(setting, "cannot be honoured", "use lora");
}

ImportRule lora_size(std::string from, std::string to) {
  return {std::move(from), [to](const Setting& setting, Translation& translation) {
            translation.set(setting, to, setting.value);
            translation.supply("lora.use_lora", "true", "the file has LoRA's sizes");
          }};
}

// Resuming is asked for on our command line, not in a recipe.
void load(const Setting& setting, Translation& translation) {
  if (translation.says("checkpoint.save", text_of(setting.value)))
    return translation.pass_over(setting, "`sluice train --resume latest` goes on with the run in output_dir");
  translation.refuse(setting, "cannot be honoured",
                     "to begin with other weights give model.load; to go on with a run, `sluice train --resume` with its folder");
}

void most_recent(const Setting& setting, Translation& translation) {
  translation.set(setting, "checkpoint.keep", {{text_of(setting.value) == "-1" ? "0" : text_of(setting.value)}});
}

// Megatron's loss of load balance; `none` has no loss at all.
void load_balancing(const Setting& setting, Translation& translation) {
  const std::string kind = lower_case(text_of(setting.value));
  if (kind == "aux_loss")
    translation.set(setting, "moe.aux_loss", {{"per_layer"}});
  else if (kind == "seq_aux_loss")
    translation.set(setting, "moe.aux_loss", {{"per_sequence"}});
  else if (kind == "none")
    translation.set(setting, "moe.router_aux_loss_coef", {{"0"}});
  else
    translation.refuse(setting, "cannot be honoured", "use aux_loss, seq_aux_loss or none");
}

void mixed_precision(const Setting& setting, Translation& translation) {
  const std::string name = lower_case(text_of(setting.value));
  if (name == "bf16_mixed" || name == "bf16-mixed")
    translation.set(setting, "train.precision", {{"bf16"}});
  else
    translation.refuse(setting, "cannot be honoured", "use bf16_mixed; train.precision=fp32 is the other that there is");
}

// The end of the schedule is the end of the run.
void decay_iters(const Setting& setting, Translation& translation) {
  const Setting* const iters = translation.find("train.train_iters");
  if (iters && text_of(iters->value) == text_of(setting.value))
    translation.pass_over(setting, "the schedule has the length of the run");
  else
    translation.refuse(setting, "cannot be honoured: the schedule has the length of the run",
                       "make it equal to train.train_iters, or leave it out");
}

void wsd_share(const Setting& setting, Translation& translation) {
  const Setting* const iters = translation.find("train.train_iters");
  double decay = 0, all = 0;
  if (!iters || !parse_value(setting.value, decay).empty() || !parse_value(iters->value, all).empty() || all <= 0) {
    return translation.refuse(setting, "needs train.train_iters beside it", "give both as numbers, or set optimizer.decay_fraction");
  }
  translation.set(setting, "optimizer.decay_fraction", {{format(decay / all)}});
}

std::vector<ImportRule> model_rules() {
  std::vector<ImportRule> rules = parallel_sizes("model.");
  for (ImportRule& rule : std::vector<ImportRule>{
           renamed("model.seq_length", "data.seq_length"),
           renamed("model.moe_aux_loss_coeff", "moe.router_aux_loss_coef"),
           renamed("model.moe_z_loss_coeff", "moe.z_loss_coef"),
           renamed("model.moe_expert_capacity_factor", "moe.expert_capacity_factor"),
           renamed("model.moe_router_bias_update_rate", "moe.expert_bias_update_rate"),
           {"model.moe_router_load_balancing_type", load_balancing},
           passed_over_if("model.moe_router_dtype", {"fp32"}, "routers compute in float32", "use fp32"),
           renamed("model.recompute_granularity", "memory.recompute"),
           renamed("model.recompute_modules", "memory.recompute_modules"),
           renamed("model.recompute_method", "memory.recompute_method"),
           renamed("model.recompute_num_layers", "memory.recompute_layers"),
           renamed("model.distribute_saved_activations", "memory.distribute_saved_activations"),
           renamed("model.moe_token_dispatcher_type", "moe.token_dispatcher", {{"flex", "alltoall"}}),
           passed_over("model.moe_grouped_gemm", kSpeed),
           passed_over("model.*_fusion", kSpeed),
           passed_over("model.attention_backend", kSpeed),
           passed_over("model.*_overlap*", kSpeed),
           passed_over("model.pipeline_dtype", "pipeline stages exchange float32"),
           renamed_if("model.bf16", "train.precision", {{"true", "bf16"}}, "leave it out, and set train.precision=fp32 for float32"),
           renamed_if("model.params_dtype", "train.precision", {{"torch.bfloat16", "bf16"}, {"torch.float32", "fp32"}},
                      "use torch.bfloat16 or torch.float32"),
           passed_over_if("model.fp16", {"false"}, "it is the default", "use bf16"),
           passed_over("model.cpu_offloading*", "weights are in main memory already"),
           passed_over("model._target_", "it names a class of Python"),
       }) {
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::vector<ImportRule> training_rules() {
  return {
      passed_over("train.manual_gc*", kSpeed),
      passed_over("train.eval_iters", "all held-out rows are evaluated; data.validation_samples bounds them"),
      renamed("train.eval_interval", "train.validation_interval"),
      renamed_if("optimizer.optimizer", "optimizer.name", {{"adam", "adamw"}}, "use adam"),
      renamed("optimizer.adam_beta1", "optimizer.beta1"),
      renamed("optimizer.adam_beta2", "optimizer.beta2"),
      renamed("optimizer.adam_eps", "optimizer.eps"),
      passed_over_if("optimizer.fp16", {"false"}, "it is the default", "use bf16"),
      renamed_if("optimizer.bf16", "train.precision", {{"true", "bf16"}}, "leave it out, and set train.precision=fp32 for float32"),
      renamed("optimizer.use_distributed_optimizer", "parallelism.zero_stage", kDistributedOptimizer),
      passed_over("optimizer.overlap_*", kOverlaps),
      passed_over_if("optimizer.use_precision_aware_optimizer", {"false"}, "states are float32", "leave it out"),
      renamed("scheduler.start_weight_decay", "optimizer.weight_decay"),
      renamed("scheduler.end_weight_decay", "optimizer.weight_decay"),
      passed_over_if("scheduler.weight_decay_incr_style", {"constant"}, "it is what there is", "use constant"),
      passed_over_if("scheduler.lr_warmup_init", {"0", "0.0"}, "warm-up begins at 0", "use 0"),
      passed_over_if("scheduler.lr_wsd_decay_style", {"linear"}, "it is what there is", "use linear"),
      {"scheduler.lr_wsd_decay_iters", wsd_share},
      {"scheduler.lr_decay_iters", decay_iters},
      passed_over("scheduler.*override_opt_param_scheduler", "a recipe's values hold"),
      passed_over("scheduler.use_checkpoint_opt_param_scheduler", "a recipe's values hold"),
      {"mixed_precision", mixed_precision},
  };
}

std::vector<ImportRule> other_rules() {
  return {
      renamed("dataset.sequence_length", "data.seq_length"),
      renamed("dataset.seq_length", "data.seq_length"),
      renamed("dataset.random_seed", "train.seed"),
      renamed("dataset.data_path", "data.path"),
      renamed("dataset.dataset_root", "data.path"),
      passed_over("dataset.num_workers", kSpeed),
      passed_over("dataset.pin_memory", kSpeed),
      passed_over("dataset.persistent_workers", kSpeed),
      passed_over("dataset.data_sharding", "every process reads the rows that it trains on"),
      passed_over("dataset._target_", "it names a class of Python"),
      {"checkpoint.load", load},
      {"checkpoint.most_recent_k", most_recent},
      renamed("checkpoint.pretrained_checkpoint", "model.load"),
      passed_over("checkpoint.ckpt_format", "`sluice convert` writes other layouts"),
      passed_over("checkpoint.fully_parallel_*", "every process writes and reads its part"),
      renamed("checkpoint.async_save", "checkpoint.async_save"),
      passed_over("checkpoint.finetune", "model.load brings weights alone"),
      renamed("logger.log_interval", "log.interval"),
      renamed_if("logger.logging_level", "log.level", {{"10", "debug"}, {"20", "info"}, {"30", "warning"}, {"40", "error"}},
                 "use 10, 20, 30 or 40"),
      passed_over("logger.*", "the run folder has metrics.jsonl and TensorBoard files"),
      passed_over_if("tokenizer.tokenizer_type", {"huggingfacetokenizer"}, "it is what model.tokenizer names",
                     "give the folder of a Hugging Face tokenizer: model.tokenizer"),
      renamed("tokenizer.tokenizer_model", "model.tokenizer"),
      {"peft", peft},
      lora_size("peft.dim", "lora.rank"),
      lora_size("peft.alpha", "lora.alpha"),
      lora_size("peft.dropout", "lora.dropout"),
      passed_over_if("peft.dropout_position", {"pre"}, "it is what there is", "use pre"),
      {"peft.target_modules", lora_targets},
      passed_over("peft._target_", "it names a class of Python"),
      renamed("ddp.use_distributed_optimizer", "parallelism.zero_stage", kDistributedOptimizer),
      passed_over("ddp.*", kOverlaps),
      passed_over("dist.*", "the launcher says how processes meet"),
      passed_over("comm_overlap.*", kOverlaps),
      passed_over("*_target_", "it names a class of Python"),
  };
}

}  // namespace

std::vector<ImportRule> megatron_bridge_rules() {
  std::vector<ImportRule> rules;
  for (const auto& section : {model_rules(), training_rules(), other_rules()}) rules.insert(rules.end(), section.begin(), section.end());
  return rules;
}

}  // namespace sluice::config
