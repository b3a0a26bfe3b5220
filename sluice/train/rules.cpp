// Every rule across settings, in one table: what must hold, and what to do where it does not.
#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "sluice/config/fields.h"
#include "sluice/parallel/model_sizes.h"
#include "sluice/train/recipe.h"

namespace sluice::train {
namespace {

using config::format;

// What a rule sees and where it reports.
struct Check {
  const Recipe& recipe;
  const models::ModelConfig* model;  // null when it could not be had
  const std::vector<config::Setting>& settings;  // those that were given
  Violations& violations;
  std::vector<std::string>& notes;

  void at_least(const char* key, std::int64_t value, std::int64_t limit) const {
    if (value < limit) violations.add(std::string(key) + " = " + format(value) + " is less than " + format(limit), "use " + format(limit) + " or more");
  }
  void at_least(const char* key, double value, double limit) const {
    if (!(value >= limit)) violations.add(std::string(key) + " = " + format(value) + " is less than " + format(limit), "use " + format(limit) + " or more");
  }
  void at_most(const char* key, std::int64_t value, std::int64_t limit) const {
    if (value > limit) violations.add(std::string(key) + " = " + format(value) + " is more than " + format(limit), "use " + format(limit) + " or less");
  }
  // low <= value < high
  void within(const char* key, double value, double low, double high) const {
    if (!(value >= low && value < high)) {
      violations.add(std::string(key) + " = " + format(value) + " is not from " + format(low) + " up to (not including) " + format(high), "use a value in that range");
    }
  }
};

// Far above any use, and low enough that no count of rows, tokens or bytes overflows.
constexpr std::int64_t kMostSteps = 1'000'000'000'000, kMostEpochs = 1'000'000, kMostKept = 1'000'000, kMostRowsAtOnce = 1 << 20;

void length_of_training(const Check& check) {
  const TrainSection& train = check.recipe.train;
  check.at_least("train.train_iters", train.train_iters, 0);
  check.at_least("train.epochs", train.epochs, 0);
  check.at_most("train.train_iters", train.train_iters, kMostSteps);
  check.at_most("train.epochs", train.epochs, kMostEpochs);
  if (train.train_iters == 0 && train.epochs == 0) check.violations.add("neither train.train_iters nor train.epochs is set", "set one, for example train.epochs=2");
}

void batch_sizes(const Check& check) {
  const TrainSection& train = check.recipe.train;
  const std::int64_t at_once = check.recipe.rows_at_once(), ranks = check.recipe.data_parallel_size;
  check.at_least("train.micro_batch_size", train.micro_batch_size, 1);
  check.at_most("train.micro_batch_size", train.micro_batch_size, kMostRowsAtOnce);
  if (train.gradient_accumulation_steps) check.at_most("train.gradient_accumulation_steps", *train.gradient_accumulation_steps, kMostRowsAtOnce);
  if (train.global_batch_size) check.at_most("train.global_batch_size", *train.global_batch_size, kMostRowsAtOnce);
  if (train.gradient_accumulation_steps) check.at_least("train.gradient_accumulation_steps", *train.gradient_accumulation_steps, 1);
  if (train.global_batch_size) check.at_least("train.global_batch_size", *train.global_batch_size, 1);
  if (!train.global_batch_size || train.micro_batch_size < 1 || *train.global_batch_size < 1) return;
  const std::int64_t global = *train.global_batch_size;
  const std::string times_ranks = ranks > 1 ? " * " + format(ranks) + " data-parallel ranks" : "";
  if (global % at_once == 0 && train.gradient_accumulation_steps && *train.gradient_accumulation_steps * at_once != global) {
    check.violations.add("train.global_batch_size = " + format(global) + " is not micro_batch_size * gradient_accumulation_steps" + times_ranks + " = " +
                             format(*train.gradient_accumulation_steps * at_once),
                         "leave one of the settings out");
  }
}

void optimizer(const Check& check) {
  const optim::OptimizerConfig& o = check.recipe.optimizer;
  check.at_least("optimizer.lr", o.lr, 0.0);
  if (o.min_lr && (*o.min_lr < 0 || *o.min_lr > o.lr)) {
    check.violations.add("optimizer.min_lr = " + format(*o.min_lr) + " is not between 0 and optimizer.lr = " + format(o.lr), "use a value between them");
  }
  check.within("optimizer.beta1", o.beta1, 0, 1);
  check.within("optimizer.beta2", o.beta2, 0, 1);
  check.within("optimizer.warmup_fraction", o.warmup_fraction, 0, 1);
  check.within("optimizer.decay_fraction", o.decay_fraction, 0, 1.0000001);
  if (!(o.eps > 0)) check.violations.add("optimizer.eps = " + format(o.eps) + " is not above 0", "use 1e-8");
  check.at_least("optimizer.weight_decay", o.weight_decay, 0.0);
  check.at_least("optimizer.clip_grad", o.clip_grad, 0.0);
  if (o.warmup_iters) check.at_least("optimizer.warmup_iters", *o.warmup_iters, 0);
}

void memory(const Check& check) {
  const parallel::MemoryConfig& m = check.recipe.memory;
  if (m.recompute_layers) check.at_least("memory.recompute_layers", *m.recompute_layers, 1);
  if (m.recompute_method == parallel::RecomputeMethod::kUniform && m.recompute_layers.value_or(1) > 1) {
    check.violations.add("memory.recompute_method = uniform with memory.recompute_layers = " + format(*m.recompute_layers) + " asks for groups of layers, which this version of Sluice does not do",
                         "use recompute_layers=1: each layer by itself; or recompute_method=block: the first layers of each stage");
  }
  if (m.recompute == parallel::Recompute::kSelective && m.recompute_modules.empty()) check.violations.add("memory.recompute = selective, but memory.recompute_modules is empty", "name some, for example [layernorm, mlp]");
  if (!m.offload.empty() && m.offload_dir.empty()) {
    check.notes.push_back("memory.offload = " + format(m.offload) + ": training computes in this machine's memory, where these are already; to have them on a disk set memory.offload_dir");
  }
}

void intervals(const Check& check) {
  check.at_least("checkpoint.save_interval", check.recipe.checkpoint.save_interval, 0);
  check.at_least("checkpoint.keep", check.recipe.checkpoint.keep, 0);
  check.at_most("checkpoint.keep", check.recipe.checkpoint.keep, kMostKept);
  check.at_least("log.interval", check.recipe.log.interval, 1);
  check.at_least("log.trace_steps", check.recipe.log.trace_steps, 1);
  check.at_least("train.validation_interval", check.recipe.train.validation_interval, 0);
  check.at_least("train.check_replicas_interval", check.recipe.train.check_replicas_interval, 0);
  if (const auto& factor = check.recipe.train.spike_factor; factor && !(*factor > 1)) {
    check.violations.add("train.spike_factor = " + format(*factor) + " is not above 1: every other step would be a spike", "use 5 to 20");
  }
  check.at_least("train.seed", check.recipe.train.seed, 0);
  const bool validates = !check.recipe.data.validation_path.empty() || check.recipe.data.validation_fraction > 0;
  if (check.recipe.train.validation_interval > 0 && !validates) {
    check.violations.add("train.validation_interval = " + format(check.recipe.train.validation_interval) + ", but no rows are held out",
                         "set data.validation_path or data.validation_fraction");
  }
}

void layout(const Check& check) {
  const Recipe& r = check.recipe;
  parallel::Job job{r.processes, std::nullopt, r.train.micro_batch_size, r.train.global_batch_size};
  if (check.model) job.model = parallel::sizes_of(*check.model);
  parallel::check(r.parallelism, job, check.violations);
  const parallel::ParallelismConfig& p = r.parallelism;
  const auto refuse = [&](const std::string& what, const std::string& remedy) { check.violations.add(what + ", which this version of Sluice does not do", remedy); };
  const auto aggregate = r.routing_supervision.aggregate;
  if (p.pipeline_model_parallel_size > 1 && r.routing_supervision.weight > 0 && (aggregate == loss::Aggregate::kMean || aggregate == loss::Aggregate::kSum)) {
    refuse("routing_supervision.aggregate = " + format(aggregate) + " needs the routers of all layers in one place, and parallelism.pipeline_model_parallel_size = " + format(p.pipeline_model_parallel_size) + " parts them", "use aggregate=each or last");
  }
  const bool shares_out = r.data_parallel_size * p.context_parallel_size > 1 || p.tensor_model_parallel_size > 1;  // tensor ranks hold the same norms
  if (p.zero_stage > 0 && !shares_out) check.notes.push_back("parallelism.zero_stage = " + format(p.zero_stage) + " shares nothing out: no other process holds the same weights");
  if (r.overlaps_micro_batches()) {
    const auto refuse_overlap = [&](const std::string& setting, const std::string& why, const std::string& remedy) {
      refuse("parallelism.overlap_micro_batches = true with " + setting + " " + why, remedy + ", or leave parallelism.overlap_micro_batches out");
    };
    if (p.zero_stage > 2) refuse_overlap("parallelism.zero_stage = " + format(p.zero_stage), "fetches and gives back a layer's weights for two passes at once", "use zero_stage=2");
    if (!r.memory.offload.empty() && !r.memory.offload_dir.empty()) refuse_overlap("memory.offload = " + format(r.memory.offload), "takes in and gives back files' pages for two passes at once", "leave memory.offload out");
    if (r.lora.use_lora) refuse_overlap("lora.use_lora = true", "draws the dropout of two passes at once", "train without adapters");
  }
}

void data_and_model(const Check& check) {
  const Recipe& r = check.recipe;
  r.data.check(check.violations);
  if (r.data.path.empty() && r.data.blend.empty()) check.violations.add("data.path is not set", "give the file to train on: --data-file FILE, or data.path=FILE");
  if (r.data.format != data::Format::kTokenIds && r.model.tokenizer.empty() && r.model.load.empty()) {
    check.violations.add("model.tokenizer is not set, and data.format = " + format(r.data.format) + " needs a tokenizer", "give its folder: model.tokenizer=DIR");
  }
  if (r.output_dir.empty()) check.violations.add("output_dir is not set", "give the run folder: --output-dir DIR");
  if (!check.model) return;
  const std::int64_t longest = r.data.seq_length + r.data.max_target_length;
  if (r.data.format != data::Format::kTokenIds && longest > check.model->max_positions()) {
    check.violations.add("rows may have " + format(longest) + " tokens (data.seq_length + data.max_target_length), more than the model's " +
                             format(check.model->max_positions()) + " positions",
                         "lower data.seq_length, or raise model.max_position_embeddings of a model from scratch");
  }
}

// transformers has these in training alone, so a model that has one is run, evaluated and converted as any other.
void noise(const Check& check) {
  if (!check.model) return;
  const std::vector<std::string> kinds{"model.router_jitter_noise", "model.attention_dropout", "model.hidden_dropout"};
  for (const auto& [key, value] : check.model->settings()) {
    if (value == "0" || std::ranges::find(kinds, key) == kinds.end()) continue;
    check.violations.add(key + " = " + value + ", but this version of Sluice trains without such noise",
                         check.recipe.model.load.empty() ? "set it to 0" : "set it to 0 in the model's config.json, to train without");
  }
}

// Longest text whose rotary frequencies do not depend on other rows of its micro-batch; nothing where they never do.
std::optional<std::int64_t> longest_with_own_rotation(const models::ModelConfig& model) {
  std::map<std::string, std::string> sizes;
  for (const auto& [key, value] : model.settings()) sizes[key] = value;
  const std::string type = sizes["model.rope_scaling.rope_type"], original = sizes["model.rope_scaling.original_max_position_embeddings"];
  if (type != "dynamic" && type != "longrope") return std::nullopt;
  return std::stoll(type == "longrope" && original != "null" ? original : sizes["model.max_position_embeddings"]);
}

void rotation(const Check& check) {
  if (!check.model) return;
  const auto limit = longest_with_own_rotation(*check.model);
  const data::DataConfig& data = check.recipe.data;
  const bool any_length = data.format == data::Format::kTokenIds;
  if (!limit || (!any_length && data.seq_length + data.max_target_length <= *limit)) return;
  const std::string why = "of texts longer than " + format(*limit) + " tokens, the rotary frequencies of this model follow from the longest row of a micro-batch";
  if (data.packing != data::Packing::kNone) {
    check.violations.add("data.packing = " + format(data.packing) + " with data.seq_length = " + format(data.seq_length) + ": " + why + ", so documents side by side would change each other",
                         "use data.packing=none, or data.seq_length=" + format(*limit));
  } else {
    check.notes.push_back(why + ", as transformers has it: train.micro_batch_size changes the result");
  }
}

void mixture(const Check& check) {
  const Recipe& r = check.recipe;
  check.at_least("moe.z_loss_coef", r.moe.z_loss_coef, 0.0);
  check.at_least("moe.expert_capacity_factor", r.moe.expert_capacity_factor, 0.0);
  if (r.moe.router_aux_loss_coef) check.at_least("moe.router_aux_loss_coef", *r.moe.router_aux_loss_coef, 0.0);
  else if (check.model) check.at_least("the model's router_aux_loss_coef", check.model->moe().router_aux_loss_coef, 0.0);
  check.at_least("train.mtp_loss_scaling_factor", r.train.mtp_loss_scaling_factor, 0.0);
  check.at_least("moe.expert_bias_update_rate", r.moe.expert_bias_update_rate, 0.0);
  if (r.moe.expert_bias_update_rate != 0 && check.model && check.model->moe().expert_biases.empty()) {
    check.violations.add("moe.expert_bias_update_rate = " + format(r.moe.expert_bias_update_rate) + ", but this architecture has no routing bias", "set it to 0");
  }
}

void supervision(const Check& check) {
  const loss::RoutingSupervisionConfig& s = check.recipe.routing_supervision;
  check.at_least("routing_supervision.weight", s.weight, 0.0);
  if (s.weight > 0 && check.recipe.data.packing != data::Packing::kNone) {
    check.violations.add("data.packing = " + format(check.recipe.data.packing) + " joins rows of several categories, and routing_supervision.weight = " + format(s.weight) +
                             " needs one category a row",
                         "use data.packing=none, or routing_supervision.weight=0");
  }
  try {
    data::Categories::parse(s.categories, "routing_supervision.categories");
  } catch (const Error& error) {
    check.violations.add(error);
  }
  if (!(s.temperature > 0)) check.violations.add("routing_supervision.temperature = " + format(s.temperature) + " is not above 0", "use 0.5 to 2");
  if (!(s.smoothing > 0 && s.smoothing < 1)) {
    check.violations.add("routing_supervision.smoothing = " + format(s.smoothing) + " is not between 0 and 1", "use 0.1; at 0 a label would forbid experts altogether, and the gradient never ends");
  }
  if (std::set<std::int64_t>(s.layers.begin(), s.layers.end()).size() < s.layers.size()) {
    check.violations.add("routing_supervision.layers = " + format(s.layers) + " names a layer twice", "name each layer once");
  }
  if (!check.model) return;
  const models::MoeShape moe = check.model->moe();
  if (s.weight > 0 && moe.num_experts == 0) check.violations.add("routing_supervision.weight = " + format(s.weight) + ", but the model has no experts", "set it to 0");
  for (const std::int64_t layer : s.layers) {
    if (layer >= 0 && layer < moe.num_layers) continue;
    check.violations.add("routing_supervision.layers has " + format(layer) + ", but the model's mixture layers are 0 to " + format(moe.num_layers - 1), "use those");
  }
}

// The rate of a recipe for whole weights, kept when someone only adds LoRA: far below what adapters need. A rate that was typed is meant.
void note_low_rate(const Check& check) {
  constexpr double kLowest = 2e-5;
  const double rate = check.recipe.optimizer.lr;
  if (!check.recipe.lora.use_lora || !(rate < kLowest)) return;
  const auto given = std::find_if(check.settings.rbegin(), check.settings.rend(), [](const config::Setting& setting) { return setting.key == "optimizer.lr"; });
  if (given == check.settings.rend() || given->where == "command line") return;
  check.notes.push_back(given->where + ": optimizer.lr = " + format(rate) + " is a rate for whole weights; adapters usually take 1e-4 to 3e-4 (`--config lora`, or optimizer.lr=2e-4)");
}

void adapters(const Check& check) {
  const models::LoraConfig& lora = check.recipe.lora;
  lora.check(check.violations);
  note_low_rate(check);
  if (lora.use_lora && check.recipe.model.load.empty()) check.violations.add("lora.use_lora = true, but model.load is not set: there are no weights to adapt", "give the base model: model.load=DIR");
  if (!lora.adapter.empty() && !lora.use_lora) check.violations.add("lora.adapter = " + lora.adapter + ", but lora.use_lora is false", "set lora.use_lora=true, or leave the adapter out");
}

// Settings that other settings make idle.
struct Idle {
  std::string key;  // a setting, or a section with its dot
  std::function<bool(const Recipe&, const models::ModelConfig*)> when;
  std::string because;
};

const std::vector<Idle>& idle_settings() {
  using models::ModelConfig;
  const auto unsupervised = [](const Recipe& r, const ModelConfig*) { return r.routing_supervision.weight == 0; };
  const auto not_questions = [](const Recipe& r, const ModelConfig*) { return r.data.format != data::Format::kQa; };
  const auto no_conversations = [](const Recipe& r, const ModelConfig*) { return !data::has_conversations(r.data.format); };
  const auto no_lora = [](const Recipe& r, const ModelConfig*) { return !r.lora.use_lora; };
  const auto not_oasst = [](const Recipe& r, const ModelConfig*) { return r.data.format != data::Format::kOasst; };
  const std::string no_weight = "routing_supervision.weight is 0", rows_only = "rows of this data.format are no conversations", no_trees = "data.format is not oasst", not_lora = "lora.use_lora is false";
  static const std::vector<Idle> all{
      {"routing_supervision.target", unsupervised, no_weight},
      {"routing_supervision.temperature", unsupervised, no_weight},
      {"routing_supervision.smoothing", unsupervised, no_weight},
      {"routing_supervision.layers", unsupervised, no_weight},
      {"routing_supervision.aggregate", unsupervised, no_weight},
      {"routing_supervision.tokens", unsupervised, no_weight},
      {"routing_supervision.smoothing", [](const Recipe& r, const ModelConfig*) { return r.routing_supervision.target == loss::Target::kLearned; }, "the learned target has none"},
      {"optimizer.warmup_fraction", [](const Recipe& r, const ModelConfig*) { return r.optimizer.warmup_iters.has_value(); }, "optimizer.warmup_iters decides"},
      {"optimizer.decay_fraction", [](const Recipe& r, const ModelConfig*) { return r.optimizer.schedule != optim::Schedule::kWsd; }, "only the wsd schedule has it"},
      {"optimizer.min_lr", [](const Recipe& r, const ModelConfig*) { return r.optimizer.schedule == optim::Schedule::kConstant; }, "the schedule is constant"},
      {"train.epochs", [](const Recipe& r, const ModelConfig*) { return r.train.train_iters > 0 && r.train.epochs > 0; }, "train.train_iters decides"},
      {"train.on_spike", [](const Recipe& r, const ModelConfig*) { return !r.train.spike_factor && r.train.on_spike != BadStep::kStop; }, "train.spike_factor is null: no step is a spike"},
      {"train.check_replicas_interval", [](const Recipe& r, const ModelConfig*) { return r.train.check_replicas_interval > 0 && r.processes == 1; }, "no other process holds the same weights"},
      {"log.trace_steps", [](const Recipe& r, const ModelConfig*) { return !r.log.trace; }, "log.trace is false"},
      {"data.template", no_conversations, rows_only},
      {"data.custom_template", [](const Recipe& r, const ModelConfig*) { return r.data.instruct.chat_template != data::Template::kCustom; }, "data.template is not custom"},
      {"data.system_prompt", no_conversations, rows_only},
      {"data.train_on", no_conversations, rows_only},
      {"data.train_on_end", no_conversations, rows_only},
      {"data.truncation", no_conversations, rows_only},
      {"data.cache_dir", no_conversations, rows_only},
      {"data.columns.", [](const Recipe& r, const ModelConfig*) { return r.data.format != data::Format::kCustom; }, "data.format is not custom"},
      {"data.oasst_max_rank", not_oasst, no_trees},
      {"data.oasst_languages", not_oasst, no_trees},
      {"data.max_target_length", not_questions, "only format qa has answers"},
      {"data.seq_length", [](const Recipe& r, const ModelConfig*) { return r.data.format == data::Format::kTokenIds; }, "rows of format token_ids are used whole"},
      {"parallelism.sequence_parallel", [](const Recipe& r, const ModelConfig*) { return r.parallelism.tensor_model_parallel_size == 1 && r.parallelism.splits_sequences(); }, "one process holds each matrix"},
      {"parallelism.overlap_micro_batches", [](const Recipe& r, const ModelConfig*) { return r.parallelism.overlap_micro_batches && !r.parallelism.exchanges_in_passes(); }, "nothing is exchanged within a pass"},
      {"parallelism.overlap_micro_batches", [](const Recipe& r, const ModelConfig*) { return r.parallelism.overlap_micro_batches && r.parallelism.exchanges_in_passes() && !r.overlaps_micro_batches(); }, "a step has one micro-batch"},
      {"moe.aux_loss_scope", [](const Recipe& r, const ModelConfig*) { return r.moe.aux_loss == loss::AuxLoss::kPerSequence && r.moe.aux_loss_scope == loss::AuxScope::kGlobalBatch; }, "per_sequence does not depend on it"},
      {"moe.expert_bias_update_rate", [](const Recipe& r, const ModelConfig*) { return r.moe.freeze_router; }, "moe.freeze_router keeps routers as they are"},
      {"moe.expert_bias_update_rate", [](const Recipe& r, const ModelConfig*) { return r.lora.use_lora; }, "LoRA leaves routing biases as they are"},
      {"memory.recompute_modules", [](const Recipe& r, const ModelConfig*) { return r.memory.recompute != parallel::Recompute::kSelective; }, "memory.recompute is not selective"},
      {"memory.recompute_method", [](const Recipe& r, const ModelConfig*) { return r.memory.recompute == parallel::Recompute::kNone; }, "memory.recompute is none"},
      {"memory.recompute_layers", [](const Recipe& r, const ModelConfig*) { return r.memory.recompute == parallel::Recompute::kNone; }, "memory.recompute is none"},
      {"memory.distribute_saved_activations", [](const Recipe& r, const ModelConfig*) { return r.memory.distribute_saved_activations && r.memory.recompute != parallel::Recompute::kFull; }, "memory.recompute is not full"},
      {"memory.distribute_saved_activations", [](const Recipe& r, const ModelConfig*) { return r.memory.distribute_saved_activations && (r.parallelism.tensor_model_parallel_size == 1 || r.parallelism.splits_sequences()); }, "no two processes keep the same activations"},
      {"memory.offload_dir", [](const Recipe& r, const ModelConfig*) { return !r.memory.offload_dir.empty() && r.memory.offload.empty(); }, "memory.offload is empty"},
      {"checkpoint.hf_save_path", [](const Recipe& r, const ModelConfig*) { return !r.checkpoint.export_hf; }, "checkpoint.export_hf is false"},
      {"lora.rank", no_lora, not_lora},
      {"lora.alpha", no_lora, not_lora},
      {"lora.dropout", no_lora, not_lora},
      {"lora.use_rslora", no_lora, not_lora},
      {"lora.target_modules", no_lora, not_lora},
      {"lora.experts", no_lora, not_lora},
      {"train.freeze", [](const Recipe& r, const ModelConfig*) { return r.lora.use_lora; }, "LoRA trains its adapters alone"},
      {"moe.", [](const Recipe&, const ModelConfig* model) { return model && model->moe().num_experts == 0; }, "the model is dense"},
  };
  return all;
}

// A setting without effect: an error where someone has just typed it, a note where a recipe has it.
void report_idle(const Check& check) {
  for (const config::Setting& setting : check.settings) {
    for (const Idle& idle : idle_settings()) {
      const bool meant = idle.key.ends_with(".") ? setting.key.starts_with(idle.key) : setting.key == idle.key;
      if (!meant || !idle.when(check.recipe, check.model)) continue;
      if (setting.where == "command line") check.violations.add(setting.key + " has no effect: " + idle.because, "leave it out, or change what makes it idle");
      else check.notes.push_back(setting.where + ": " + setting.key + " has no effect: " + idle.because);
    }
  }
}

}  // namespace

void check_rules(const Recipe& recipe, const models::ModelConfig* config, const std::vector<config::Setting>& settings, Violations& violations,
                 std::vector<std::string>& notes) {
  static const std::vector<std::function<void(const Check&)>> rules{length_of_training, batch_sizes,    optimizer, memory,         intervals,
                                                                    layout,         data_and_model, noise,     rotation, mixture, supervision, adapters};
  const Check check{recipe, config, settings, violations, notes};
  for (const auto& rule : rules) rule(check);
  report_idle(check);
}

}  // namespace sluice::train
