// A training recipe, resolved: every section's own struct, composed once. Components receive their own section, never this.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/log.h"
#include "sluice/config/recipe.h"
#include "sluice/data/config.h"
#include "sluice/launch/config.h"
#include "sluice/loss/objective.h"
#include "sluice/models/lora.h"
#include "sluice/models/model.h"
#include "sluice/optim/adamw.h"
#include "sluice/parallel/apply.h"
#include "sluice/parallel/expert.h"
#include "sluice/parallel/layout.h"
#include "sluice/train/recipe_paths.h"

namespace sluice::train {

struct ModelSection {
  std::string architecture = "mixtral", load, tokenizer;
  void fields(auto&& field) {
    field("architecture", architecture, "HF's model_type, for a model from scratch by the sizes below; a loaded model brings its own.");
    field("load", load, "Start from this model: an HF folder, a step folder or a run folder. Empty = random weights.");
    field("tokenizer", tokenizer, "Folder or file of the tokenizer; empty = the one in model.load.");
  }
};

// What becomes of a step whose gradient is no number, or a spike.
enum class BadStep { kStop, kSkip, kRollback };
constexpr std::array<std::string_view, 3> names(BadStep) { return {"stop", "skip", "rollback"}; }

struct TrainSection {
  std::int64_t train_iters = 0, epochs = 0, micro_batch_size = 1;
  std::optional<std::int64_t> global_batch_size, gradient_accumulation_steps;
  std::int64_t seed = 1234;
  nn::Precision precision = nn::Precision::kBfloat16;
  std::vector<std::string> freeze;
  std::int64_t validation_interval = 0;
  double mtp_loss_scaling_factor = 0.1;
  BadStep on_nan = BadStep::kStop, on_spike = BadStep::kStop;
  std::optional<double> spike_factor;
  std::int64_t check_replicas_interval = 0;
  void fields(auto&& field) {
    field("train_iters", train_iters, "Optimizer steps; 0 = as many as `epochs` takes.");
    field("epochs", epochs, "Passes over the data, where train_iters is 0.");
    field("micro_batch_size", micro_batch_size, "Rows that run at once. Does not change the result, but where lora.dropout draws by it and where rotary frequencies follow the longest row (dynamic, longrope).");
    field("global_batch_size", global_batch_size, "Rows of one optimizer step; null = micro_batch_size * gradient_accumulation_steps.");
    field("gradient_accumulation_steps", gradient_accumulation_steps, "Micro-batches of one optimizer step; null = what global_batch_size asks for.");
    field("seed", seed, "Of the random weights and of the order of the data.");
    field("precision", precision, "fp32, or bf16 products with float32 masters, norms, routers and residual stream.");
    field("freeze", freeze, "Parameters that stay as they are: names with * as a wildcard, e.g. [embedding.*, layers.0.*].");
    field("validation_interval", validation_interval, "Steps between validations; 0 = only at the end.");
    field("mtp_loss_scaling_factor", mtp_loss_scaling_factor, "Weight of the multi-token prediction loss, for models that have it.");
    field("on_nan", on_nan, "When a step's loss or gradient is no finite number: stop, skip its update, or rollback to the latest checkpoint and go on with the rows after it.");
    field("spike_factor", spike_factor, "A gradient norm above this many times its running mean is a spike; null = none is.");
    field("on_spike", on_spike, "When a step's gradient norm is a spike: stop, skip or rollback, as for on_nan.");
    field("check_replicas_interval", check_replicas_interval, "Steps between comparisons of the parameters that several processes hold alike, by checksum; 0 = none.");
  }
};

struct MoeSection {
  loss::AuxLoss aux_loss = loss::AuxLoss::kHfPooled;
  loss::AuxScope aux_loss_scope = loss::AuxScope::kMicroBatch;
  std::optional<double> router_aux_loss_coef;
  double z_loss_coef = 0, expert_capacity_factor = 0, expert_bias_update_rate = 0;
  bool freeze_router = false;
  parallel::Dispatcher token_dispatcher = parallel::Dispatcher::kAllToAll;
  void fields(auto&& field) {
    field("aux_loss", aux_loss, "Load balance loss: hf_pooled (transformers), per_layer or per_sequence (Megatron-Core).");
    field("aux_loss_scope", aux_loss_scope, "Count over one micro_batch, or over the global_batch by a counting pass (one more forward pass).");
    field("router_aux_loss_coef", router_aux_loss_coef, "Weight of the load balance loss; null = the one in the model's config.");
    field("z_loss_coef", z_loss_coef, "Weight of the router z-loss, the mean square of logsumexp of the router's logits.");
    field("expert_capacity_factor", expert_capacity_factor, "Most assignments of an expert, in even shares; the rest is dropped. 0 = dropless.");
    field("token_dispatcher", token_dispatcher, "How tokens reach experts that other processes hold: alltoall or allgather.");
    field("expert_bias_update_rate", expert_bias_update_rate, "Update rate of the routing bias of DeepSeek-V3 and GLM; no effect where a model has none.");
    field("freeze_router", freeze_router, "Whether routers stay as they are.");
  }
};

struct CheckpointSection {
  std::int64_t save_interval = 0, keep = 3;
  bool async_save = false, export_hf = false;
  std::string hf_save_path;
  void fields(auto&& field) {
    field("save_interval", save_interval, "Steps between checkpoints; 0 = only at the end.");
    field("keep", keep, "Newest checkpoints to keep; the best by validation loss stays as well. 0 = all.");
    field("async_save", async_save, "Write checkpoints while training goes on, from a copy in memory of what each process saves.");
    field("export_hf", export_hf, "Write the final weights in Hugging Face's layout too, LoRA merged into them.");
    field("hf_save_path", hf_save_path, "Folder for that; empty = OUTPUT_DIR/hf.");
  }
};

struct LogSection {
  std::int64_t interval = 1, exact_match_samples = 100;
  bool tensorboard = true, rank_files = true, trace = false, traffic = false;
  std::int64_t trace_steps = 10;
  std::optional<LogLevel> level;
  void fields(auto&& field) {
    field("interval", interval, "Steps between log lines and records of expert load; metrics.jsonl has every step.");
    field("exact_match_samples", exact_match_samples, "Held-out questions to answer at the end of a run, for exact_match in summary.json; 0 = none.");
    field("tensorboard", tensorboard, "Whether to write TensorBoard event files.");
    field("rank_files", rank_files, "Whether each of several processes writes a log of its own, RUN/logs/rank-NNNNN.txt.");
    field("trace", trace, "Whether each process writes when it computes and when it exchanges what: RUN/trace/rank-NNNNN.json, for chrome://tracing and Perfetto.");
    field("trace_steps", trace_steps, "Steps that log.trace shows, the first ones after the start or the resume.");
    field("traffic", traffic, "Whether each process writes what it sends in each step, by group and kind of exchange: RUN/traffic/rank-NNNNN.jsonl.");
    field("level", level, "What the terminal shows: debug, info, warning or error; null = what SLUICE_LOG_LEVEL says, else info. log.txt has info and above.");
  }
};

struct Recipe {
  ModelSection model;
  data::DataConfig data;
  TrainSection train;
  optim::OptimizerConfig optimizer;
  MoeSection moe;
  loss::RoutingSupervisionConfig routing_supervision;
  models::LoraConfig lora;
  parallel::MemoryConfig memory;
  CheckpointSection checkpoint;
  LogSection log;
  parallel::ParallelismConfig parallelism;
  launch::LaunchConfig launch;
  std::string output_dir;
  // No settings: the processes that are started, and how many of them see other rows.
  std::int64_t processes = 1, data_parallel_size = 1;

  void fields(auto&& field) {
    field("model", model, "");
    field("data", data, "");
    field("train", train, "");
    field("optimizer", optimizer, "");
    field("moe", moe, "");
    field("routing_supervision", routing_supervision, "");
    field("lora", lora, "");
    field("memory", memory, "");
    field("checkpoint", checkpoint, "");
    field("log", log, "");
    field("parallelism", parallelism, "");
    field("launch", launch, "");
    field("output_dir", output_dir, "The run folder.");
  }

  // Where checkpoint.export_hf writes.
  fs::path export_folder() const { return checkpoint.hf_save_path.empty() ? fs::path(output_dir) / "hf" : fs::path(checkpoint.hf_save_path); }
  std::int64_t rows_at_once() const { return train.micro_batch_size * data_parallel_size; }  // of a micro-step
  std::int64_t accumulation_steps() const;
  // Whether parallelism.overlap_micro_batches has an effect.
  bool overlaps_micro_batches() const { return parallelism.overlap_micro_batches && parallelism.exchanges_in_passes() && accumulation_steps() > 1; }
  std::int64_t global_batch_size() const { return rows_at_once() * accumulation_steps(); }
};

// A recipe with the model that it means. `model_config` holds the sizes of the recipe's model section, or those of model.load.
struct ResolvedRecipe {
  Recipe recipe;
  std::shared_ptr<models::ModelConfig> model_config;
  std::vector<std::string> given;  // "optimizer.lr = 1e-4 (sft.yaml:12)": each setting that was given, in that order; later ones hold
  std::vector<std::string> notes;  // settings of the recipe that have no effect, paths found beside the recipe
};

// Applies `settings` (a recipe's, then the command line's), resolves aliases, finds the files that they name, loads the model's config,
// and checks every rule, for a run of `world` processes. All violations are reported together.
ResolvedRecipe resolve(std::vector<config::Setting> settings, const ModelFinder& find_model = {}, std::int64_t world = 1);

// The recipe as YAML that resolves to itself, sizes of a model from scratch included: a run's config.yaml.
std::string to_yaml(const ResolvedRecipe& resolved);

// The model sizes, "model.hidden_size" and so on, each with the architectures that have it, in the order of the registry.
std::vector<std::pair<std::string, std::vector<std::string>>> size_settings();

// Every setting with its default and meaning, for --help.
std::string describe_settings();

// Other spellings of settings: those of Megatron, Megatron-Bridge, Primus and the supervised-routing script.
const std::vector<config::Alias>& aliases();

// A size that families name differently: `from` stands for the first of `to` that the architecture has.
struct SizeAlias {
  std::string from;
  std::vector<std::string> to;
};
const std::vector<SizeAlias>& size_aliases();

// A command-line flag that sets one setting. `name` without dashes; '_' and '-' are the same in it.
enum class FlagValue { kNeeded, kTrueIfNone };  // kTrueIfNone: the flag alone says true; `true` or `false` may follow
struct Flag {
  std::string name, key;
  FlagValue value = FlagValue::kNeeded;
};
const std::vector<Flag>& flags();

// The rules across settings. `config` is null when the model's config could not be had; `settings` are those that were given, for what
// has no effect.
void check_rules(const Recipe& recipe, const models::ModelConfig* config, const std::vector<config::Setting>& settings, Violations& violations,
                 std::vector<std::string>& notes);

}  // namespace sluice::train
