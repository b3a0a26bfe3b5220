#include "sluice/train/state.h"

#include <algorithm>
#include <array>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/sharded.h"

namespace sluice::train {
namespace {

using checkpoint::Box;

// The optimizer's buffers, and what their tensors are called in a checkpoint before the parameter's name.
struct Moment {
  const char* prefix;
  const at::Tensor& (optim::AdamW::*flat)() const;
};
constexpr std::array<Moment, 2> kMoments{{{"exp_avg.", &optim::AdamW::mean}, {"exp_avg_sq.", &optim::AdamW::square}}};

// What this rank has of a tensor.
struct Stored {
  std::string name;
  const nn::ParameterSpec* spec;
  at::Tensor tensor;  // in the spec's shape
};

Box box_of(const nn::Piece& piece) { return {piece.from, piece.lengths}; }

// What is held of a tensor, as boxes of the whole.
std::vector<nn::Piece> pieces_of(const nn::ParameterSpec& spec) {
  if (!spec.is_whole()) return spec.part.pieces;
  const std::vector<std::int64_t> zeros(spec.shape.size(), 0);
  return {{zeros, zeros, spec.shape}};
}

// `prefix` + name of what this rank saves of a buffer as long as the store's flat ones. All ranks come here.
void add_flat(std::vector<Stored>& out, const Kept& kept, const std::string& prefix, const at::Tensor& flat) {
  kept.shared.complete(flat, [&](const nn::Parameter& p, const at::Tensor& value) {
    if (kept.saves(p)) out.push_back({prefix + p.spec.name, &p.spec, value.is_alias_of(flat) ? value : value.clone()});
  });
}

bool is_of_adapter(const Kept& kept, const nn::Parameter& p) {
  return std::ranges::any_of(kept.adapters, [&](const models::LoraTarget& t) { return p.spec.name == t.a() || p.spec.name == t.b(); });
}

// What this rank saves of the parameters; with adapters nothing, as the leader writes these.
std::vector<Stored> weights_to_save(const Kept& kept) {
  std::vector<Stored> out;
  if (!kept.adapters.empty()) return out;
  add_flat(out, kept, "", kept.store.flat_master());
  for (const nn::Parameter& p : kept.store.all()) {
    if (!p.trainable() && !p.spec.is_elsewhere() && kept.saves(p)) out.push_back({p.spec.name, &p.spec, checkpoint::exact_value(p)});
  }
  return out;
}

// What it saves in trainer/: moments, and with adapters what is trained beside them (a label embedding, which is no part of a model).
std::vector<Stored> trainer_to_save(const Kept& kept) {
  std::vector<Stored> out;
  for (const Moment moment : kMoments) add_flat(out, kept, moment.prefix, (kept.optimizer.*moment.flat)());
  if (kept.adapters.empty()) return out;
  std::vector<Stored> beside;
  add_flat(beside, kept, "", kept.store.flat_master());
  for (Stored& stored : beside) {
    if (!is_of_adapter(kept, kept.store.at(stored.name))) out.push_back(std::move(stored));
  }
  return out;
}

void write(const fs::path& folder, std::int64_t rank, const std::vector<Stored>& tensors) {
  std::vector<checkpoint::TensorPart> parts;
  std::vector<at::Tensor> values;
  for (const Stored& stored : tensors) {
    for (const nn::Piece& piece : pieces_of(*stored.spec)) {
      parts.push_back({stored.name, checkpoint::from_torch(stored.tensor.scalar_type()), stored.spec->whole_shape(), box_of(piece)});
      values.push_back(nn::block(stored.tensor, piece.to, piece.lengths));
    }
  }
  at::Tensor current;  // holds the bytes until the next are asked for
  checkpoint::write_shard(folder, static_cast<int>(rank), parts, [&](std::size_t i) {
    current = values[i].contiguous();
    return std::span<const std::byte>(checkpoint::bytes_of(current));
  });
}

// What a checkpoint and a run have in common is checked setting by setting before (resume.h); this is for one that was edited since.
class Loading {
 public:
  explicit Loading(const fs::path& path) : path_(path), folder_(path) {}

  // The named tensor as `spec` holds it; nothing where another rank does.
  std::optional<at::Tensor> read(const std::string& name, const nn::ParameterSpec& spec, at::ScalarType type) {
    const auto* info = folder_.find(name);
    if (!info) throw Error("the checkpoint " + path_.string() + " has no " + name, remedy_);
    if (info->shape != spec.whole_shape()) {
      throw Error(name + " has shape " + checkpoint::shape_text(info->shape) + " in " + path_.string() + ", and " + checkpoint::shape_text(spec.whole_shape()) + " in this model", remedy_);
    }
    ++found_;
    if (spec.is_elsewhere()) return std::nullopt;
    at::Tensor out = at::zeros(spec.shape, type);
    for (const nn::Piece& piece : pieces_of(spec)) {
      const at::Tensor values = at::empty(piece.lengths, type);
      folder_.read(name, box_of(piece), checkpoint::bytes_of(values));
      nn::block(out, piece.to, piece.lengths).copy_(values);
    }
    return out;
  }

  void require_all_read() const {
    if (found_ == folder_.names().size()) return;
    throw Error("the checkpoint " + path_.string() + " has " + std::to_string(folder_.names().size() - found_) + " tensors that this run does not train", remedy_);
  }

 private:
  fs::path path_;
  checkpoint::ShardedFolder folder_;
  std::size_t found_ = 0;
  const std::string remedy_ = "resume with the recipe that the run was started with: its config.yaml is in the run folder";
};

void load_weights(const fs::path& path, const Kept& kept) {
  Loading loading(path);
  for (nn::Parameter& p : kept.store.all()) {
    const at::Tensor own = checkpoint::exact_value(p);
    if (const auto value = loading.read(p.spec.name, p.spec, own.scalar_type())) own.copy_(*value);
  }
  loading.require_all_read();
}

void load_trainer(const fs::path& path, const Kept& kept) {
  Loading loading(path);
  for (const nn::Parameter& p : kept.store.all()) {
    if (!kept.store.is_trained(p)) continue;
    for (const Moment moment : kMoments) {
      if (const auto value = loading.read(moment.prefix + p.spec.name, p.spec, at::kFloat)) kept.shared.keep((kept.optimizer.*moment.flat)(), p, *value);
    }
    if (kept.adapters.empty() || is_of_adapter(kept, p)) continue;
    if (const auto value = loading.read(p.spec.name, p.spec, at::kFloat)) checkpoint::exact_value(p).copy_(*value);
  }
  loading.require_all_read();
}

std::uint64_t total_bytes(const std::vector<Stored>& tensors) {
  std::uint64_t total = 0;
  for (const Stored& stored : tensors) total += stored.tensor.nbytes();
  return total;
}

OrderedJson state_of(const Progress& progress, const Kept& kept) {
  return {{"format", "sluice-trainer"},
          {"version", 1},
          {"step", progress.step},
          {"data_position", progress.data_position},
          {"seed", progress.seed},
          {"data_fingerprint", progress.data_fingerprint},
          {"optimizer_steps", kept.optimizer.steps_done()},
          {"best_validation_loss", progress.best_validation_loss ? OrderedJson(*progress.best_validation_loss) : OrderedJson(nullptr)},
          {"best_step", progress.best_step}};
}

}  // namespace

fs::path save_state(const fs::path& run, const Progress& progress, const Kept& kept, const std::function<void(const fs::path& folder)>& extra) {
  const dist::Mesh& mesh = kept.mesh;
  const auto weights = weights_to_save(kept), trainer = trainer_to_save(kept);
  auto bytes = static_cast<std::uint64_t>(mesh.world->sum(static_cast<double>(total_bytes(weights) + total_bytes(trainer))));
  if (!kept.adapters.empty()) bytes += bytes / 2;  // the adapters, of which these are the moments
  std::optional<checkpoint::StepFolderWriter> writer;
  const std::string made = together(mesh, [&]() -> std::string {
    if (!mesh.leads()) return "";
    writer.emplace(run, progress.step, bytes);
    fs::create_directories(writer->folder() / "trainer");
    return writer->folder().string();
  });
  const fs::path folder = mesh.from_leader(made);
  together(mesh, [&] {
    if (kept.adapters.empty()) write(folder, mesh.rank, weights);
    else if (mesh.leads()) checkpoint::write_adapter(folder, kept.adapters, kept.note, kept.table, kept.store);
    write(folder / "trainer", mesh.rank, trainer);
    return true;
  });
  return together(mesh, [&]() -> fs::path {
    if (!mesh.leads()) return {};
    writer->write_file("trainer/state.json", state_of(progress, kept).dump(2) + "\n");
    extra(folder);
    return writer->commit();
  });
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
  if (kept.adapters.empty()) load_weights(step_folder, kept);
  else checkpoint::load_adapter(checkpoint::read_adapter(step_folder, kept.table), kept.store);
  load_trainer(step_folder / "trainer", kept);
  kept.store.refresh_compute_copies();
  kept.shared.trim();
  kept.optimizer.set_steps_done(progress.optimizer_steps);
  return progress;
}

}  // namespace sluice::train
