#include "sluice/checkpoint/model_io.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/checkpoint/part_reader.h"
#include "sluice/checkpoint/sharded.h"
#include "sluice/checkpoint/step_folder.h"
#include "sluice/checkpoint/weight_reader.h"
#include "sluice/text/tokenizer.h"

namespace sluice::checkpoint {
namespace {

bool has_shards(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("shard-") && name.ends_with(".safetensors")) return true;
  }
  return false;
}

// Where a load writes: the master of a trainable parameter, else the value.
at::Tensor destination(nn::Parameter& parameter) { return parameter.master.defined() ? parameter.master : parameter.value.detach(); }

// A HF tensor in our layout: its last two dimensions swapped back where HF has them the other way round.
at::Tensor in_our_layout(const at::Tensor& tensor, models::HfLayout layout) {
  return layout == models::HfLayout::kTransposed ? tensor.transpose(-1, -2) : tensor;
}

// What a folder's weights are, from one look at their headers.
struct Inventory {
  std::set<std::string> names;
  DType dtype = DType::kF32;  // of the largest tensor that is not quantised: which one is, loading says with its name
};

bool quantised_type(DType dtype) { return dtype == DType::kU8 || dtype == DType::kF8E4M3 || dtype == DType::kF8E8M0; }

Inventory inventory(const fs::path& path, FolderKind kind) {
  Inventory out;
  std::uint64_t largest = 0;
  const auto consider = [&](const std::string& name, DType dtype, std::uint64_t elements) {
    out.names.insert(name);
    if (elements <= largest || quantised_type(dtype)) return;
    largest = elements;
    out.dtype = dtype;
  };
  if (kind == FolderKind::kHf) {
    const WeightFolder folder(path);
    for (const std::string& name : folder.names()) consider(name, folder.find(name)->dtype, folder.find(name)->bytes.size() / size_bytes(folder.find(name)->dtype));
  } else {
    const ShardedFolder folder(path, ShardedFolder::Checksums::kSkip);
    for (const std::string& name : folder.names()) consider(name, folder.find(name)->dtype, *tensor_bytes(DType::kU8, folder.find(name)->shape));
  }
  return out;
}

}  // namespace

at::ScalarType to_torch(DType dtype) {
  switch (dtype) {
    case DType::kF32: return at::kFloat;
    case DType::kBF16: return at::kBFloat16;
    case DType::kF16: return at::kHalf;
    case DType::kF64: return at::kDouble;
    default: throw Error("weights of type " + std::string(dtype_name(dtype)) + " are not computed with", "save them as F32, BF16 or F16");
  }
}

DType from_torch(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return DType::kF32;
    case at::kBFloat16: return DType::kBF16;
    case at::kHalf: return DType::kF16;
    case at::kDouble: return DType::kF64;
    default: SLUICE_CHECK(false, "no weight has this type"); return DType::kF32;
  }
}

at::Tensor tensor_over(const TensorView& view) {
  const at::ScalarType type = to_torch(view.dtype);
  const std::size_t element = size_bytes(view.dtype);
  if (reinterpret_cast<std::uintptr_t>(view.bytes.data()) % element == 0) {
    // Read only: the map is private and its pages are not writable, and nothing here writes to the result.
    return at::from_blob(const_cast<std::byte*>(view.bytes.data()), view.shape, at::TensorOptions(type));
  }
  at::Tensor copy = at::empty(view.shape, type);
  std::memcpy(copy.data_ptr(), view.bytes.data(), view.bytes.size());
  return copy;
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) { return {static_cast<std::byte*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())}; }

at::Tensor exact_value(const nn::Parameter& parameter) { return parameter.master.defined() ? parameter.master : parameter.value.detach(); }

fs::path resolve_model_folder(const fs::path& given) {
  const fs::path path = follow_pointer(given);
  if (fs::is_regular_file(path)) throw Error(path.string() + " is a file, not a model folder", "give a folder with config.json and weights, a run folder, or its checkpoints/best or latest");
  if (!fs::is_directory(path)) throw Error("there is no model folder " + path.string(), "give a folder with config.json and weights, or a run folder");
  if (!fs::exists(path / "config.json") && fs::is_directory(checkpoints_folder(path))) {
    const auto latest = find_latest(path);
    if (!latest) throw Error("run " + path.string() + " has no checkpoint yet", "wait for its first save, or give another folder");
    return latest->path;
  }
  return path;
}

ModelFolder open_model_folder(const fs::path& given) {
  const fs::path path = resolve_model_folder(given);
  if (is_adapter_folder(path) && !fs::exists(path / "model.safetensors") && !fs::exists(path / kWeightIndexName)) {
    throw Error(path.string() + " holds adapters, not a whole model", "give its base model (" + base_model_of(path) + ") and the adapter beside it, or merge the two: sluice merge");
  }
  if (!fs::exists(path / "config.json")) throw Error(path.string() + " has no config.json", "give a folder that holds a model: config.json and *.safetensors");
  ModelFolder folder;
  folder.path = path;
  folder.kind = has_shards(path) ? FolderKind::kNative : FolderKind::kHf;
  if (folder.kind == FolderKind::kNative && fs::exists(path / kManifestName)) require_whole(path, Verify::kSizes);
  const std::string where = (path / "config.json").string();
  const Json config = parse_json(read_file(path / "config.json"), where);
  if (!config.is_object() || !config.contains("model_type") || !config["model_type"].is_string()) {
    throw Error(where + " has no model_type", "take config.json again from where the model came from");
  }
  folder.architecture = config["model_type"].get<std::string>();
  folder.config = models::find_architecture(folder.architecture, where).make_config();
  folder.config->read_hf(config, where);
  const Inventory weights = inventory(path, folder.kind);
  folder.dtype = weights.dtype;
  folder.config->fit_to_checkpoint([&](const std::string& name) { return weights.names.contains(name); });
  Violations violations;
  folder.config->check(violations);
  violations.raise(where);
  return folder;
}

void require_equal_copies(const WeightFolder& folder, const models::ModelConfig& config, const std::vector<models::TensorSpec>& table) {
  const std::string& embedding = table.front().hf.front().name;
  const TensorView* first = folder.find(embedding);
  for (const std::string& name : folder.names()) {
    const TensorView* view = folder.find(name);
    if (!first || !config.ignores(name) || view->shape != first->shape || std::ranges::equal(view->bytes, first->bytes)) continue;
    throw Error(folder.path().string() + ": config.json ties the head to the embedding, but " + name + " and " + embedding + " differ",
                "set tie_word_embeddings to false in config.json, which is how transformers 5 takes such a folder; or remove " + name);
  }
  for (const models::TensorSpec& spec : table) {
    for (const std::string& copy : spec.hf_copies) {
      const TensorView *view = folder.find(copy), *original = folder.find(spec.hf[0].name);
      if (!view || !original || std::ranges::equal(view->bytes, original->bytes)) continue;
      throw Error(folder.path().string() + ": " + copy + " and " + spec.hf[0].name + " should hold the same values, and differ",
                  "take the checkpoint again; this architecture shares the two");
    }
  }
}

void load_weights(const ModelFolder& folder, const std::vector<models::TensorSpec>& table, nn::ParameterStore& store, const nn::ParameterStore::After& after) {
  const at::NoGradGuard no_grad;
  const auto weights = open_weights(folder, table);
  for (const models::TensorSpec& spec : table) {
    nn::Parameter& parameter = store.at(spec.parameter.name);
    if (parameter.spec.is_elsewhere()) continue;
    if (parameter.spec.is_whole()) weights->read(spec, destination(parameter));
    else read_part(folder.kind, *weights, spec, parameter.spec.part, destination(parameter));
    store.refresh_compute_copy(parameter);
    if (after) after(parameter);
  }
}

void allocate_for_inference(nn::ParameterStore& store, at::ScalarType dtype) {
  for (nn::Parameter& parameter : store.all()) {
    parameter.value = nn::empty_weights(parameter.spec.shape, parameter.spec.keep == nn::Keep::kComputePrecision ? dtype : at::kFloat);
  }
}

void export_hf(const fs::path& to, const models::ModelConfig& config, const std::vector<models::TensorSpec>& table, const WholeTensors& values, DType dtype,
               const std::optional<fs::path>& tokenizer_folder) {
  struct Source {
    const models::TensorSpec* spec;
    const models::HfPart* part;
  };
  std::vector<TensorSpec> declared;
  std::vector<Source> sources;
  const auto add = [&](const std::string& name, const Source& from) {
    const bool exact = from.spec->parameter.keep == nn::Keep::kFloat32InFiles;
    declared.push_back({name, exact ? DType::kF32 : dtype, from.part->shape});
    sources.push_back(from);
  };
  for (const models::TensorSpec& spec : table) {
    for (const models::HfPart& part : spec.hf) add(part.name, {&spec, &part});
    for (const std::string& copy : spec.hf_copies) add(copy, {&spec, &spec.hf[0]});
  }
  fs::create_directories(to);
  const models::TensorSpec* at_hand = nullptr;
  at::Tensor value, current;  // of the parameter at hand; keeps the bytes of one tensor until the next is asked for
  const TensorSource source = [&](std::size_t i) {
    const auto [spec, part] = sources[i];
    if (spec != at_hand) value = values(*(at_hand = spec));
    std::vector<std::int64_t> shape = part->shape;
    if (part->layout == models::HfLayout::kTransposed) std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
    const auto count = static_cast<std::int64_t>(*tensor_bytes(DType::kU8, shape));
    const at::Tensor ours = value.view({-1}).narrow(0, part->offset, count).view(shape);
    current = in_our_layout(ours, part->layout).to(to_torch(declared[i].dtype)).contiguous();
    return std::span<const std::byte>(bytes_of(current));
  };
  write_weight_folder(to, declared, source);
  write_file_atomic(to / "config.json", config.write_hf(to_torch(dtype)).dump(2) + "\n");
  const OrderedJson hf = config.write_hf(to_torch(dtype));
  write_file_atomic(to / "generation_config.json",
                    OrderedJson{{"bos_token_id", hf["bos_token_id"]}, {"eos_token_id", hf["eos_token_id"]}, {"pad_token_id", hf["pad_token_id"]}}.dump(2) + "\n");
  if (!tokenizer_folder) return;
  for (const fs::path& file : text::tokenizer_files(*tokenizer_folder)) {
    if (fs::absolute(file).parent_path() != fs::absolute(to)) write_file_atomic(to / file.filename(), read_file(file));
  }
}

}  // namespace sluice::checkpoint
