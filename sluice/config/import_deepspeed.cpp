// DeepSpeed's JSON, as Hugging Face's Accelerate and Trainer take it.
#include <algorithm>

#include "sluice/config/import_rules.h"

namespace sluice::config {
namespace {

const char* const kSums = "gradients are summed in float32";
const char* const kHostMemory = "weights, gradients and optimizer states are in main memory already";

// "auto" takes the value from the script's own flags.
ImportRule or_auto(ImportRule rule) {
  return {rule.from, [apply = rule.apply](const Setting& setting, Translation& translation) {
            if (text_of(setting.value) == "auto")
              translation.pass_over(setting, "the script's flags say it");
            else
              apply(setting, translation);
          }};
}

bool gives_number(const Setting* setting) {
  double number = 0;
  return setting && parse_value(setting->value, number).empty();
}

void accumulation(const Setting& setting, Translation& translation) {
  if (gives_number(translation.find("train_batch_size"))) return translation.pass_over(setting, "train_batch_size decides");
  translation.set(setting, "train.gradient_accumulation_steps", setting.value,
                  "DeepSpeed's batch is this times its processes; train.global_batch_size=N gives the same here");
}

// The whole batch; what a base recipe says of accumulation must not contradict it.
void batch_size(const Setting& setting, Translation& translation) {
  translation.set(setting, "train.global_batch_size", setting.value);
  translation.supply("train.gradient_accumulation_steps", "null", "train_batch_size decides");
}

void precision(const Setting& setting, Translation& translation) {
  if (is_true(setting))
    translation.set(setting, "train.precision", {{"bf16"}});
  else if (translation.says("fp16.enabled", "true"))
    translation.pass_over(setting, "fp16.enabled decides");
  else
    translation.set(setting, "train.precision", {{"fp32"}});
}

void betas(const Setting& setting, Translation& translation) {
  if (setting.value.items.size() != 2) return translation.refuse(setting, "is not two numbers", "write [0.9, 0.999]");
  translation.set(setting, "optimizer.beta1", {{setting.value.items[0]}});
  translation.set(setting, "optimizer.beta2", {{setting.value.items[1]}});
}

// WarmupLR and its like rise by a logarithm unless told otherwise.
constexpr const char* kLinearWarmup = "its warm-up is linear, where DeepSpeed's warmup_type log is not";

void schedule(const Setting& setting, Translation& translation) {
  static const std::vector<AliasValue> kNames{{"warmuplr", "constant"}, {"warmupdecaylr", "linear"}, {"warmupcosinelr", "cosine"}};
  const auto ours = std::ranges::find(kNames, lower_case(text_of(setting.value)), &AliasValue::from);
  if (ours == kNames.end()) return translation.refuse(setting, "cannot be honoured", "use WarmupDecayLR or WarmupCosineLR");
  translation.set(setting, "optimizer.schedule", {{ours->to}}, translation.says("scheduler.params.warmup_type", "linear") ? "" : kLinearWarmup);
}

void warmup_type(const Setting& setting, Translation& translation) {
  const std::string type = lower_case(text_of(setting.value));
  if (type == "linear") return translation.pass_over(setting, "it is what there is");
  if (type == "log") return translation.pass_over(setting, "warm-up is linear");
  translation.refuse(setting, "cannot be honoured", "use linear");
}

// Activations that are shared out are first of all not kept: each layer's input alone is, and the rest computed again.
void partition(const Setting& setting, Translation& translation) {
  if (is_true(setting))
    translation.set(setting, "memory.recompute", {{"full"}},
                    "each layer keeps its input alone");
  else
    translation.pass_over(setting, "it is the default");
}

}  // namespace

std::vector<ImportRule> deepspeed_rules() {
  std::vector<ImportRule> rules{
      renamed("train_micro_batch_size_per_gpu", "train.micro_batch_size"),
      {"gradient_accumulation_steps", accumulation},
      {"train_batch_size", batch_size},
      renamed("gradient_clipping", "optimizer.clip_grad"),
      renamed("steps_per_print", "log.interval"),
      renamed("zero_optimization.stage", "parallelism.zero_stage"),
      passed_over("zero_optimization.*offload*", kHostMemory),
      passed_over("zero_optimization.*", "it changes no result"),
      passed_over("zero_allow_untested_optimizer", "the optimizer is ours"),
      {"bf16.enabled", precision},
      passed_over("bf16.*", "masters and gradients are float32"),
      passed_over_if("fp16.enabled", {"false"}, "it is the default", "use bf16: {enabled: true}, which needs no loss scale"),
      passed_over("fp16.*", "there is no loss scale in bf16"),
      {"activation_checkpointing.partition_activations", partition},
      passed_over("activation_checkpointing.*", "it changes no result"),
      passed_over("moe.enabled", "whether a model has experts, its own config.json says"),
      renamed("moe.num_experts", "model.num_moe_experts"),
      renamed("moe.top_k", "model.num_experts_per_tok"),
      renamed("moe.expert_capacity_factor", "moe.expert_capacity_factor"),
      renamed("moe.capacity_factor", "moe.expert_capacity_factor"),
      renamed("moe.router_aux_loss_coef", "moe.router_aux_loss_coef"),
      renamed("moe.expert_parallel_size", "parallelism.expert_model_parallel_size"),
      renamed("moe.ep_size", "parallelism.expert_model_parallel_size"),
      renamed("router_aux_loss_coef", "moe.router_aux_loss_coef"),
      renamed("expert_capacity_factor", "moe.expert_capacity_factor"),
      renamed_if("optimizer.type", "optimizer.name", {{"adam", "adamw"}, {"adamw", "adamw"}}, "use AdamW"),
      renamed("optimizer.params.lr", "optimizer.lr"),
      renamed("optimizer.params.weight_decay", "optimizer.weight_decay"),
      renamed("optimizer.params.eps", "optimizer.eps"),
      {"optimizer.params.betas", betas},
      passed_over_if("optimizer.params.adam_w_mode", {"true"}, "decay is decoupled", "use AdamW"),
      passed_over("optimizer.params.torch_adam", "kernels change no result"),
      {"scheduler.type", schedule},
      renamed("scheduler.params.warmup_num_steps", "optimizer.warmup_iters"),
      renamed("scheduler.params.warmup_max_lr", "optimizer.lr"),
      renamed("scheduler.params.total_num_steps", "train.train_iters"),
      passed_over_if("scheduler.params.warmup_min_lr", {"0", "0.0"}, "warm-up begins at 0", "use 0"),
      {"scheduler.params.warmup_type", warmup_type},
      passed_over_if("*deepspeed_config_file", {}, "", "this is Accelerate's file: import the one that it names"),
      passed_over("wall_clock_breakdown", "metrics.jsonl has the speed of each step"),
      passed_over("prescale_gradients", kSums),
      passed_over("communication_data_type", kSums),
  };
  for (ImportRule& rule : rules) rule = or_auto(std::move(rule));
  return rules;
}

}  // namespace sluice::config
