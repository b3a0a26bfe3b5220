#include "sluice/generate/loaded_model.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/checkpoint/part_reader.h"
#include "sluice/parallel/held.h"

namespace sluice::generate {
namespace {

bool has_tokenizer(const fs::path& folder) {
  return std::ranges::any_of(fs::directory_iterator(folder), [](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    const bool tekken = name.starts_with("tekken") && (name.ends_with(".json") || name.ends_with(".json.gz"));
    return tekken || name == "tokenizer.json" || name == "tokenizer.json.gz" || name == "tokenizer.model";
  });
}

// eos_token_id of a HF config: a number, a list of numbers, or nothing.
std::vector<std::int32_t> end_ids(const fs::path& file, std::int64_t vocab_size) {
  if (!fs::exists(file)) return {};
  const Json config = parse_json(read_file(file), file.string());
  if (!config.is_object() || !config.contains("eos_token_id") || config["eos_token_id"].is_null()) return {};
  const Json& value = config["eos_token_id"];
  std::vector<std::int32_t> ids;
  for (const Json& id : value.is_array() ? value : Json::array({value})) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= static_cast<std::uint64_t>(vocab_size)) {
      throw Error(file.string() + ": eos_token_id = " + dump_json(value) + " is not a token of the model, whose vocabulary has " +
                      std::to_string(vocab_size),
                  "set it to the id of the end-of-text token, or to null");
    }
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

// Where `path` is an adapter: its base model, with the adapter put before the others.
fs::path base_of(const fs::path& path, std::vector<fs::path>& adapters) {
  const fs::path folder = checkpoint::resolve_model_folder(path);
  if (!checkpoint::is_adapter_folder(folder)) return folder;
  const std::string base = checkpoint::base_model_of(folder);
  if (base.empty() || !fs::is_directory(base)) {
    throw Error(folder.string() + " is an adapter of " + (base.empty() ? "a model that it does not name" : base + ", which is no folder here"), "give the base model, and the adapter with --adapter " + folder.string());
  }
  adapters.insert(adapters.begin(), folder);
  return checkpoint::resolve_model_folder(base);
}

std::vector<checkpoint::Adapter> read_adapters(const std::vector<fs::path>& folders, const std::vector<models::TensorSpec>& table) {
  std::vector<checkpoint::Adapter> out;
  for (const fs::path& folder : folders) {
    out.push_back(checkpoint::read_adapter(checkpoint::resolve_model_folder(folder), table));
    for (models::LoraTarget& target : out.back().targets) target.name += std::to_string(out.size());
  }
  return out;
}

at::ScalarType computed_in(const ModelSource& source, std::optional<at::ScalarType> asked) {
  const at::ScalarType type = asked.value_or(checkpoint::to_torch(source.folder.dtype));
  if (type == at::kDouble)
    throw Error("the weights of " + source.folder.path.string() + " are float64, which the model is not computed in", "add --dtype fp32");
  return type;
}

}  // namespace

ModelSource open_source(const fs::path& path, std::vector<fs::path> adapters) {
  const fs::path base = base_of(path, adapters);
  return {checkpoint::open_model_folder(base), std::move(adapters)};
}

LoadedModel load_model(ModelSource source, std::optional<at::ScalarType> dtype, const Ranks& ranks) {
  const at::ScalarType type = computed_in(source, dtype);
  LoadedModel loaded;
  loaded.folder = std::move(source.folder);
  const models::ModelConfig& config = *loaded.folder.config;
  const auto table = config.tensor_table();
  const std::vector<checkpoint::Adapter> adapters = read_adapters(source.adapters, table);
  loaded.stages = std::make_unique<parallel::Stages>(parallel::stages_of(config, ranks.layout));
  auto with_adapters = table;
  for (const checkpoint::Adapter& adapter : adapters) std::ranges::copy(models::adapter_table(adapter.targets, table), std::back_inserter(with_adapters));
  loaded.store = std::make_unique<nn::ParameterStore>(parallel::held_parameters(with_adapters, *loaded.stages, ranks.mesh.sizes, ranks.mesh.place));
  checkpoint::allocate_for_inference(*loaded.store, type);
  loaded.weights = checkpoint::open_weights(loaded.folder, table);
  checkpoint::map_or_read_parts(loaded.folder, *loaded.weights, table, *loaded.store);
  for (const checkpoint::Adapter& adapter : adapters) {
    checkpoint::load_adapter(adapter, *loaded.store);
    models::attach(*loaded.store, adapter.targets, nullptr);
  }
  loaded.model = config.build(*loaded.store);
  loaded.seams = std::make_unique<parallel::LayoutSeams>(ranks.mesh, *loaded.stages, parallel::SeamOptions{});
  loaded.model->set_seams(loaded.seams->inference());
  return loaded;
}

LoadedModel open_model(const fs::path& path, std::optional<at::ScalarType> dtype, std::vector<fs::path> adapters) {
  static const dist::Mesh alone = dist::single_process_mesh();
  return load_model(open_source(path, std::move(adapters)), dtype, {alone, {}});
}

std::unique_ptr<text::Tokenizer> open_model_tokenizer(const checkpoint::ModelFolder& folder, const std::optional<fs::path>& given) {
  if (given) return text::open_tokenizer(*given);
  return has_tokenizer(folder.path) ? text::open_tokenizer(folder.path) : nullptr;
}

std::vector<std::int32_t> stop_ids(const checkpoint::ModelFolder& folder, const text::Tokenizer* tokenizer) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    if (auto ids = end_ids(folder.path / name, folder.config->vocab_size()); !ids.empty()) return ids;
  }
  if (tokenizer && tokenizer->eos_id()) return {*tokenizer->eos_id()};
  return {};
}

void require_runnable(const Runnable& runnable, const std::vector<std::int32_t>& ids, std::int64_t new_tokens, const std::string& where) {
  if (ids.empty()) throw Error(where + " has no tokens", "give at least one token");
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < runnable.config.vocab_size()) continue;
    throw Error(where + ": token id " + std::to_string(id) + " is not from 0 to " + std::to_string(runnable.config.vocab_size() - 1) +
                    ", the model's vocabulary",
                "use the model's own tokenizer");
  }
  const auto length = static_cast<std::int64_t>(ids.size());
  const std::int64_t limit = runnable.config.max_positions();
  if (length + new_tokens <= limit) return;
  const std::string asked = std::to_string(length) + " tokens" + (new_tokens > 0 ? " and " + std::to_string(new_tokens) + " new ones" : "");
  const std::string remedy =
      new_tokens > 0 && length < limit ? "use --max-tokens " + std::to_string(limit - length) + " or less, or shorten it" : "shorten it";
  throw Error(where + ": " + asked + " are more than the model's " + std::to_string(limit) + " positions (max_position_embeddings)",
              remedy);
}

}  // namespace sluice::generate
