#include "sluice/train/session.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/checkpoint/adapter_names.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/config/fields.h"
#include "sluice/eval/routing_file.h"
#include "sluice/models/carried_config.h"
#include "sluice/parallel/held.h"
#include "sluice/train/parameters.h"

namespace sluice::train {
namespace {

constexpr const char* kGenerationConfig = "generation_config.json";

StepConfig step_config(const ResolvedRecipe& resolved) {
  const Recipe& recipe = resolved.recipe;
  const models::MoeShape moe = resolved.model_config->moe();
  const double coefficient = recipe.moe.router_aux_loss_coef.value_or(moe.router_aux_loss_coef);
  std::vector<std::string> expert_biases = moe.expert_biases;
  for (std::string& name : expert_biases) {
    if (frozen_by(recipe)(name)) name.clear();
  }
  return {{recipe.moe.aux_loss, recipe.moe.aux_loss_scope, coefficient, recipe.moe.z_loss_coef, recipe.routing_supervision},
          recipe.memory.activations(), recipe.moe.expert_capacity_factor, recipe.train.mtp_loss_scaling_factor,
          recipe.moe.expert_bias_update_rate, std::move(expert_biases)};
}

void log_aux_loss(const StepConfig& step, const models::MoeShape& moe, Log& log) {
  if (moe.num_experts == 0) return;
  const auto& objective = step.objective;
  std::string line = "load balance loss: " + config::format(objective.aux_loss) + ", coefficient " + config::format(objective.aux_coef);
  if (objective.aux_loss != loss::AuxLoss::kHfPooled) {
    const double hf = objective.aux_coef * static_cast<double>(moe.num_layers) / static_cast<double>(moe.top_k);
    line += " a layer (about " + config::format(hf) + " by HF's definition)";
  }
  log.info(line);
  if (objective.aux_scope == loss::AuxScope::kGlobalBatch && objective.aux_coef != 0) {
    log.note("moe.aux_loss_scope = global_batch counts the experts' choices in a forward pass of its own before each step: about a third more time");
  }
}

// Whether rows of this format end with the tokenizer's end of text, rather than as they are or as a chat template says.
bool ends_with_the_tokenizers(data::Format format) { return format == data::Format::kQa || format == data::Format::kText; }

// A model that learns one end and has another in its config.json would go on for ever after its answers.
void warn_of_another_end(const models::ModelConfig& config, const text::Tokenizer& tokenizer, Log& log) {
  const OrderedJson model = config.write_hf(at::kFloat)["eos_token_id"];  // null, an id, or a list of them
  const auto ends = tokenizer.eos_id();
  if (!ends || model.is_null()) return;
  const std::vector<std::int64_t> stops = model.is_array() ? model.get<std::vector<std::int64_t>>() : std::vector{model.get<std::int64_t>()};
  if (std::ranges::find(stops, *ends) != stops.end()) return;
  log.warning("rows end with token " + std::to_string(*ends) + ", the tokenizer's end of text, and the model's eos_token_id is " + dump_json(model) +
              ": generation will not stop where answers end; use the model's own tokenizer, or model.eos_token_id=" + std::to_string(*ends) + " for a model from scratch");
}

}  // namespace

SessionData open_data(const ResolvedRecipe& resolved) {
  const Recipe& recipe = resolved.recipe;
  SessionData data;
  const fs::path model = recipe.model.load.empty() ? fs::path() : checkpoint::resolve_model_folder(recipe.model.load);
  const fs::path given = recipe.model.tokenizer.empty() ? model : fs::path(recipe.model.tokenizer);
  const fs::path folder = fs::is_directory(given) ? given : given.parent_path();
  const bool needed = recipe.data.format != data::Format::kTokenIds;
  if (!given.empty() && (needed || !recipe.model.tokenizer.empty() || !text::tokenizer_files(folder).empty())) {
    data.tokenizer = text::open_tokenizer(given);
    data.tokenizer_folder = folder;
  }
  const bool supervised = recipe.routing_supervision.weight > 0;
  data.sets = data::open_datasets(recipe.data, {data.tokenizer.get(), resolved.model_config->vocab_size(),
                                                supervised ? data::LabelPolicy::kRequired : data::LabelPolicy::kOptional, given,
                                                data::Categories(recipe.routing_supervision.categories)});
  const std::int64_t longest = data.sets.train->counts().longest_row;
  if (longest > resolved.model_config->max_positions()) {
    const std::string& line = data.sets.train->counts().longest_at;
    throw Error((line.empty() ? data.sets.train->path().string() : line) + ": a row of " + std::to_string(longest) + " tokens, more than the model's " + std::to_string(resolved.model_config->max_positions()) + " positions",
                "shorten the rows, or use a model with more positions");
  }
  const std::int64_t rows = data.sets.train->size(), batch = recipe.global_batch_size();
  data.total_steps = recipe.train.train_iters > 0 ? recipe.train.train_iters : (recipe.train.epochs * rows + batch - 1) / batch;
  if (data.tokenizer) data.pad_id = data.tokenizer->pad_id().value_or(data.tokenizer->eos_id().value_or(0));
  return data;
}

Session::Session(const ResolvedRecipe& r, SessionData opened, const dist::Mesh& mesh, Log& log) : resolved(r), data(std::move(opened)), mesh_(mesh) {
  const Recipe& recipe = resolved.recipe;
  const models::ModelConfig& config = *resolved.model_config;
  const data::Categories categories(recipe.routing_supervision.categories);
  log.info("data: " + data::describe(data.sets.train->counts(), categories));
  if (data.sets.validation) log.info("validation: " + data::describe(data.sets.validation->counts(), categories));

  if (recipe.model.load.empty() && data.tokenizer) {
    resolved.model_config->set_missing_token_ids(data.tokenizer->bos_id(), data.tokenizer->eos_id(), data.tokenizer->pad_id());
  }
  if (data.tokenizer && ends_with_the_tokenizers(recipe.data.format)) warn_of_another_end(config, *data.tokenizer, log);
  const models::MoeShape moe = config.moe();
  table = config.tensor_table();
  stages = std::make_unique<parallel::Stages>(parallel::stages_of(config, recipe.parallelism));
  const auto held = parameters_held(resolved, mesh.sizes);
  holders = std::make_unique<parallel::Holders>(mesh, held, static_cast<parallel::Zero>(recipe.parallelism.zero_stage));
  store = std::make_unique<nn::ParameterStore>(held(mesh.place));
  const parallel::MemoryConfig& memory = recipe.memory;
  for (const parallel::Offload what : {parallel::Offload::kParameters, parallel::Offload::kGradients, parallel::Offload::kOptimizer}) {
    if (!disk && memory.offloads(what)) disk = std::make_unique<parallel::DiskBuffers>(memory.offload_dir);
  }
  store->allocate_for_training(recipe.train.precision, frozen_by(recipe), [&](const nn::ParameterSpec& spec) { return holders->placement(spec); },
                               {zeros_of(parallel::Offload::kParameters), zeros_of(parallel::Offload::kGradients)});
  shared = std::make_unique<parallel::SharedParameters>(*holders, *store, disk.get());
  const auto value_is_set = [&](const nn::Parameter& parameter) { shared->value_is_set(parameter); };
  const auto seed = static_cast<std::uint64_t>(recipe.train.seed);
  if (recipe.model.load.empty()) {
    store->initialise(seed, config.init_std(), value_is_set);
    export_dtype = checkpoint::from_torch(nn::scalar_type(recipe.train.precision));
  } else {
    const checkpoint::ModelFolder folder = checkpoint::open_model_folder(recipe.model.load);
    checkpoint::load_weights(folder, table, *store, value_is_set);
    base_folder = folder.path;
    export_dtype = folder.dtype;
    source_config = parse_json(read_file(folder.path / "config.json"), (folder.path / "config.json").string());
    if (fs::exists(folder.path / kGenerationConfig)) generation_config = read_file(folder.path / kGenerationConfig);
  }
  if (recipe.lora.use_lora) add_adapters();
  StepConfig settings = step_config(resolved);
  if (recipe.routing_supervision.weight > 0) {
    std::vector<double> rows;
    for (int label = 0; label < categories.size(); ++label) rows.push_back(static_cast<double>(data.sets.train->counts().with_label(label)));
    target = std::make_unique<RoutingTarget>(recipe.routing_supervision, rows, moe.num_experts, *store);
    target->initialise(seed);
  }
  shared->trim();
  model = config.build(*store);
  const parallel::SeamOptions seam_options{recipe.parallelism.splits_sequences(), recipe.moe.token_dispatcher};
  seams = std::make_unique<parallel::LayoutSeams>(mesh, *stages, seam_options);
  if (recipe.overlaps_micro_batches()) second_lane = std::make_unique<parallel::SecondLane>(mesh, *stages, seam_options);
  model->set_seams(seams->training());
  if (!mesh.world->alone() || disk) model->set_watcher(shared.get());
  if (memory.offloads(parallel::Offload::kActivations)) activation_file = std::make_unique<parallel::ActivationFile>(memory.offload_dir, *store);
  settings.activations.keeper = activation_file.get();
  if (memory.distribute_saved_activations && !mesh.tensor->alone() && !recipe.parallelism.splits_sequences()) settings.activations.shared_by = mesh.tensor.get();
  optim::MomentMemory moments{zeros_of(parallel::Offload::kOptimizer)};
  if (disk) {
    moments.done = [this](std::int64_t begin, std::int64_t end) {
      disk->expect(end, 2 * end - begin);
      disk->release(begin, end);
    };
  }
  optimizer = std::make_unique<optim::AdamW>(recipe.optimizer, *store, std::move(moments));
  const StepParts parts{*model, mesh, *seams, *stages, table.front().parameter.shape[1], target.get(), recipe.lora.use_lora ? &dropout : nullptr, second_lane.get()};
  step = std::make_unique<Step>(settings, parts, *store, *optimizer, *shared);
  stream = std::make_unique<data::SampleStream>(*data.sets.train, seed, recipe.data.shuffle ? data::Shuffle::kOn : data::Shuffle::kOff,
                                                recipe.data.instruct.length_buckets ? recipe.global_batch_size() : 0);
  log.info("model: " + recipe.model.architecture + ", " + std::to_string(store->num_elements()) + " parameters, " + std::to_string(store->num_trainable()) +
           " trained, " + config::format(recipe.train.precision));
  if (!adapters.empty()) log.info("adapters: " + std::to_string(adapters.size()) + " of rank " + std::to_string(adapters[0].rank) + "; " + checkpoint::AdapterNames(adapters, table, recipe.model.architecture).readers());
  log_aux_loss(settings, moe, log);
}

nn::MakeZeros Session::zeros_of(parallel::Offload what) const {
  if (!resolved.recipe.memory.offloads(what)) return resolved.recipe.parallelism.zero_stage > 0 ? parallel::zeros_in_small_pages : nn::untouched_zeros;
  return [this](std::int64_t count, at::ScalarType type) { return disk->zeros(count, type); };
}

void Session::add_adapters() {
  const models::LoraConfig& lora = resolved.recipe.lora;
  dropout = {lora.dropout, static_cast<std::uint64_t>(resolved.recipe.train.seed)};
  if (lora.adapter_folder().empty()) {
    adapters = adapters_of(resolved);
    models::initialise(*store, adapters, dropout.seed);
  } else {
    const checkpoint::Adapter given = checkpoint::read_adapter(checkpoint::resolve_model_folder(lora.adapter_folder()), table);
    adapters = given.targets;
    checkpoint::load_adapter(given, *store);
  }
  models::attach(*store, adapters, &dropout);
}

checkpoint::AdapterNote Session::adapter_note() const {
  if (adapters.empty()) return {};
  const models::LoraConfig& lora = resolved.recipe.lora;
  const auto is_transposed = [](const models::TensorSpec& spec) { return spec.parameter.shape.size() == 2 && spec.hf[0].layout == models::HfLayout::kTransposed; };
  return {fs::absolute(resolved.recipe.model.load).lexically_normal().string(), static_cast<double>(lora.rank), lora.alpha, lora.dropout, lora.use_rslora,
          resolved.recipe.model.architecture, std::ranges::any_of(table, is_transposed)};
}

std::optional<Kept> Session::kept_alone() const {
  static const dist::Mesh alone = dist::single_process_mesh();
  if (!model_is_whole() || resolved.recipe.parallelism.zero_stage > 0) return std::nullopt;
  Kept out{alone, *shared, *store, *optimizer, table, adapters, adapter_note()};
  out.alone = true;
  return out;
}

bool Session::model_is_whole() const {
  return mesh_.tensor->alone() && mesh_.pipeline->alone() && mesh_.experts->alone() && resolved.recipe.parallelism.zero_stage < 3;
}

std::vector<data::Batch> Session::micro_batches(std::int64_t number) const {
  const dist::TraceWriter::Span traced(mesh_.observers->trace, "data");
  const std::int64_t micro = resolved.recipe.train.micro_batch_size, count = resolved.recipe.accumulation_steps();
  const std::int64_t first = (number - 1) * resolved.recipe.global_batch_size() + mesh_.place.data * micro;
  const std::int64_t multiple = mesh_.sizes.tensor * (mesh_.sizes.context > 1 ? 2 * mesh_.sizes.context : 1);  // so that shares are equal
  std::vector<data::Batch> batches;
  for (std::int64_t m = 0; m < count; ++m) {
    std::vector<data::Sample> samples;
    for (std::int64_t i = 0; i < micro; ++i) samples.push_back(stream->at(first + m * resolved.recipe.rows_at_once() + i));
    batches.push_back(data::make_batch(samples, data.pad_id, multiple));
  }
  return batches;
}

void Session::write_companions(const fs::path& folder) const {
  const models::ModelConfig& config = *resolved.model_config;
  const at::ScalarType dtype = checkpoint::to_torch(export_dtype);
  OrderedJson written = source_config ? models::carried_config(*source_config, config, dtype) : config.write_hf(dtype);
  const auto& aux_loss = resolved.recipe.moe.router_aux_loss_coef;  // of this run, so that whoever trains on goes on with it
  if (aux_loss && written.contains("router_aux_loss_coef")) written["router_aux_loss_coef"] = *aux_loss;
  write_file_atomic(folder / "config.json", written.dump(2) + "\n");
  if (generation_config) write_file_atomic(folder / kGenerationConfig, *generation_config);
  if (data.tokenizer_folder) {
    for (const fs::path& file : text::tokenizer_files(*data.tokenizer_folder)) write_file_atomic(folder / file.filename(), read_file(file));
  }
  if (const auto routing = routing_file()) eval::write_routing_file(folder, *routing);
}

std::optional<eval::RoutingFile> Session::routing_file() const {
  if (!target) return std::nullopt;
  const at::NoGradGuard no_grad;
  const auto& config = resolved.recipe.routing_supervision;
  eval::RoutingFile file{config.target, config.categories,
                         loss::supervised_layers(config, resolved.model_config->moe().num_layers), config.tokens, {}};
  const at::Tensor preferences = at::softmax(target->log_preferences().to(at::kDouble), -1).contiguous();
  for (std::int64_t label = 0; label < preferences.size(0); ++label) {
    const auto* row = preferences.data_ptr<double>() + label * preferences.size(1);
    file.preferences.emplace_back(row, row + preferences.size(1));
  }
  return file;
}

}  // namespace sluice::train
