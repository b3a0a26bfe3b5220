#include "sluice/train/state.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/sharded.h"

namespace sluice::train {
namespace {

struct Stored {
  std::string name;
  at::Tensor tensor;  // contiguous
};

std::vector<Stored> weights_of(const nn::ParameterStore& store) {
  std::vector<Stored> out;
  for (const nn::Parameter& p : store.all()) out.push_back({p.spec.name, checkpoint::exact_value(p)});
  return out;
}

// What is trained beside adapters: a label embedding, which is no part of a model.
std::vector<Stored> beside_adapters(const Kept& kept) {
  std::vector<Stored> out;
  for (const nn::Parameter& p : kept.store.all()) {
    const bool of_adapter = std::ranges::any_of(kept.adapters, [&](const models::LoraTarget& t) { return p.spec.name == t.a() || p.spec.name == t.b(); });
    if (p.trainable() && !of_adapter) out.push_back({p.spec.name, checkpoint::exact_value(p)});
  }
  return out;
}

// What trainer/ holds: moments, and with adapters what is trained beside them.
std::vector<Stored> trainer_of(const Kept& kept) {
  std::vector<Stored> out;
  for (const nn::Parameter& p : kept.store.all()) {
    if (!p.trainable()) continue;
    out.push_back({"exp_avg." + p.spec.name, kept.optimizer.mean_of(p)});
    out.push_back({"exp_avg_sq." + p.spec.name, kept.optimizer.square_of(p)});
  }
  if (kept.adapters.empty()) return out;
  for (Stored& stored : beside_adapters(kept)) out.push_back(std::move(stored));
  return out;
}

void write(const fs::path& folder, const std::vector<Stored>& tensors) {
  std::vector<checkpoint::TensorPart> parts;
  for (const Stored& stored : tensors) {
    const auto shape = stored.tensor.sizes().vec();
    parts.push_back({stored.name, checkpoint::from_torch(stored.tensor.scalar_type()), shape, checkpoint::whole(shape)});
  }
  checkpoint::write_shard(folder, 0, parts, [&](std::size_t i) { return std::span<const std::byte>(checkpoint::bytes_of(tensors[i].tensor)); });
}

// What a checkpoint and a run have in common is checked setting by setting before (resume.h); this is for one that was edited since.
void read(const fs::path& path, const std::vector<Stored>& tensors) {
  checkpoint::ShardedFolder folder(path);
  const std::string remedy = "resume with the recipe that the run was started with: its config.yaml is in the run folder";
  std::size_t found = 0;
  for (const Stored& stored : tensors) {
    const auto* info = folder.find(stored.name);
    const auto shape = stored.tensor.sizes().vec();
    if (!info) throw Error("the checkpoint " + path.string() + " has no " + stored.name, remedy);
    if (info->shape != shape) {
      throw Error(stored.name + " has shape " + checkpoint::shape_text(info->shape) + " in " + path.string() + ", and " + checkpoint::shape_text(shape) + " in this model", remedy);
    }
    ++found;
  }
  if (found < folder.names().size()) {
    throw Error("the checkpoint " + path.string() + " has " + std::to_string(folder.names().size() - found) + " tensors that this run does not train", remedy);
  }
  for (const Stored& stored : tensors) folder.read(stored.name, checkpoint::bytes_of(stored.tensor));
}

std::uint64_t total_bytes(const std::vector<Stored>& tensors) {
  std::uint64_t total = 0;
  for (const Stored& stored : tensors) total += stored.tensor.nbytes();
  return total;
}

}  // namespace

fs::path save_state(const fs::path& run, const Progress& progress, const Kept& kept, const std::function<void(const fs::path& folder)>& extra) {
  const auto weights = kept.adapters.empty() ? weights_of(kept.store) : std::vector<Stored>{}, trainer = trainer_of(kept);
  std::uint64_t bytes = total_bytes(weights) + total_bytes(trainer);
  if (!kept.adapters.empty()) bytes += total_bytes(trainer) / 2;  // the adapters, of which these are the moments
  checkpoint::StepFolderWriter writer(run, progress.step, bytes);
  if (kept.adapters.empty()) write(writer.folder(), weights);
  else checkpoint::write_adapter(writer.folder(), kept.adapters, kept.note, kept.table, kept.store);
  fs::create_directories(writer.folder() / "trainer");
  write(writer.folder() / "trainer", trainer);
  const OrderedJson state{{"format", "sluice-trainer"},
                          {"version", 1},
                          {"step", progress.step},
                          {"data_position", progress.data_position},
                          {"seed", progress.seed},
                          {"data_fingerprint", progress.data_fingerprint},
                          {"optimizer_steps", kept.optimizer.steps_done()},
                          {"best_validation_loss", progress.best_validation_loss ? OrderedJson(*progress.best_validation_loss) : OrderedJson(nullptr)},
                          {"best_step", progress.best_step}};
  writer.write_file("trainer/state.json", state.dump(2) + "\n");
  extra(writer.folder());
  return writer.commit();
}

Progress read_progress(const fs::path& step_folder) {
  const fs::path path = step_folder / "trainer" / "state.json";
  if (!fs::exists(path)) throw Error(step_folder.string() + " has no trainer state", "resume from a folder that `sluice train` saved, or start from its weights: model.load=" + step_folder.string());
  const Json state = parse_json(read_file(path), path.string());
  try {
    Progress progress;
    progress.step = state.at("step").get<std::int64_t>();
    progress.data_position = state.at("data_position").get<std::int64_t>();
    progress.seed = state.at("seed").get<std::int64_t>();
    progress.data_fingerprint = state.at("data_fingerprint").get<std::uint32_t>();
    progress.optimizer_steps = state.at("optimizer_steps").get<std::int64_t>();
    if (!state.at("best_validation_loss").is_null()) progress.best_validation_loss = state.at("best_validation_loss").get<double>();
    progress.best_step = state.at("best_step").get<std::int64_t>();
    return progress;
  } catch (const nlohmann::json::exception& e) {
    throw Error(path.string() + " is not a trainer state of this version: " + e.what(), "resume from another checkpoint");
  }
}

Progress load_state(const fs::path& step_folder, const Kept& kept) {
  const Progress progress = read_progress(step_folder);
  checkpoint::require_whole(step_folder, checkpoint::Verify::kSizes);
  const at::NoGradGuard no_grad;
  if (kept.adapters.empty()) read(step_folder, weights_of(kept.store));
  else checkpoint::load_adapter(checkpoint::read_adapter(step_folder, kept.table), kept.store);
  read(step_folder / "trainer", trainer_of(kept));
  kept.store.refresh_compute_copies();
  kept.optimizer.set_steps_done(progress.optimizer_steps);
  return progress;
}

}  // namespace sluice::train
