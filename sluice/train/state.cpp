#include "sluice/train/state.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/checkpoint/manifest.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/sharded.h"

namespace sluice::train {
namespace {

using checkpoint::Box;

// Elements [begin, end) of a parameter as this rank holds it, row-major.
struct Range {
  std::int64_t begin = 0, end = 0;
};

// What this rank keeps of the parameters that it holds: all of it, or under ZeRO its pieces.
class KeptRanges {
 public:
  explicit KeptRanges(const nn::ParameterStore& store) : store_(store) {
    for (const auto& segment : store.segments()) owned_.push_back({segment.offset, segment.offset + segment.master.numel()});
  }
  std::vector<Range> of(const nn::Parameter& parameter) const {
    std::int64_t size = 1;
    for (const std::int64_t length : parameter.spec.shape) size *= length;
    const std::int64_t offset = store_.offset_of(parameter);
    if (offset < 0) return {{0, size}};  // frozen
    std::vector<Range> out;
    for (const Range& owned : owned_) {
      const Range shared{std::max<std::int64_t>(0, owned.begin - offset), std::min(size, owned.end - offset)};
      if (shared.begin < shared.end) out.push_back(shared);
    }
    return out;
  }

 private:
  const nn::ParameterStore& store_;
  std::vector<Range> owned_;  // of the flat buffers
};

// What a checkpoint and a run have in common is checked setting by setting before (resume.h); this is for one that was edited since.
class Loading {
 public:
  explicit Loading(const fs::path& path) : path_(path), folder_(path, checkpoint::ShardedFolder::Checksums::kSkip) {}

  // Fills `ranges` of `out`, a parameter's part as `spec` says, from the named tensor.
  void read(const std::string& name, const nn::ParameterSpec& spec, const at::Tensor& out, const std::vector<Range>& ranges) {
    const at::ScalarType stored = require(name, spec);
    for (const nn::Piece& piece : pieces_of(spec)) {
      for (const Range& range : ranges) {
        for (const Box& box : checkpoint::boxes_of_range(spec.shape, range.begin, range.end)) {
          if (const auto shared = checkpoint::intersect(box, {piece.to, piece.lengths})) read(name, piece, *shared, stored, out);
        }
      }
    }
  }

  // Counts a tensor that other ranks read.
  at::ScalarType require(const std::string& name, const nn::ParameterSpec& spec) {
    const auto* info = folder_.find(name);
    if (!info) throw Error("the checkpoint " + path_.string() + " has no " + name, remedy_);
    if (info->shape != spec.whole_shape()) {
      throw Error(name + " has shape " + checkpoint::shape_text(info->shape) + " in " + path_.string() + ", and " + checkpoint::shape_text(spec.whole_shape()) + " in this model", remedy_);
    }
    ++found_;
    return checkpoint::to_torch(info->dtype);
  }

  void require_all_read() const {
    if (found_ == folder_.names().size()) return;
    throw Error("the checkpoint " + path_.string() + " has " + std::to_string(folder_.names().size() - found_) + " tensors that this run does not train", remedy_);
  }

  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  // `box` of the part, which lies in `piece`.
  void read(const std::string& name, const nn::Piece& piece, const Box& box, at::ScalarType stored, const at::Tensor& out) {
    Box in_whole = box;
    for (std::size_t d = 0; d < box.offsets.size(); ++d) in_whole.offsets[d] += piece.from[d] - piece.to[d];
    const at::Tensor values = at::empty(box.lengths, stored);
    folder_.read(name, in_whole, checkpoint::bytes_of(values));
    nn::block(out, box.offsets, box.lengths).copy_(values);
    bytes_read_ += values.nbytes();
  }

  fs::path path_;
  checkpoint::ShardedFolder folder_;
  std::size_t found_ = 0;
  std::uint64_t bytes_read_ = 0;
  const std::string remedy_ = "resume with the recipe that the run was started with: its config.yaml is in the run folder";
};

void load_value(Loading& loading, const KeptRanges& ranges, const nn::Parameter& p) {
  if (p.spec.is_elsewhere()) loading.require(p.spec.name, p.spec);
  else loading.read(p.spec.name, p.spec, checkpoint::exact_value(p), ranges.of(p));
}

std::uint64_t load_weights(const fs::path& path, const Kept& kept) {
  Loading loading(path);
  const KeptRanges ranges(kept.store);
  for (const nn::Parameter& p : kept.store.all()) load_value(loading, ranges, p);
  loading.require_all_read();
  return loading.bytes_read();
}

std::uint64_t load_trainer(const fs::path& path, const Kept& kept) {
  Loading loading(path);
  const KeptRanges ranges(kept.store);
  for (const nn::Parameter& p : kept.store.all()) {
    if (!kept.store.is_trained(p)) continue;
    for (const Moment moment : kMoments) {
      const std::string name = moment.prefix + p.spec.name;
      if (p.spec.is_elsewhere()) loading.require(name, p.spec);
      else loading.read(name, p.spec, kept.store.slice((kept.optimizer.*moment.flat)(), p), ranges.of(p));
    }
    if (!kept.adapters.empty() && !is_of_adapter(kept, p)) load_value(loading, ranges, p);
  }
  loading.require_all_read();
  return loading.bytes_read();
}

void require_undamaged(const fs::path& step_folder, const dist::Mesh& mesh) {
  const auto fault = checkpoint::manifest_fault(step_folder, checkpoint::Verify::kContents, {mesh.rank, mesh.world->size()});
  if (fault) throw Error("the checkpoint " + step_folder.string() + " is not whole: " + *fault, "copy it again, or resume from another checkpoint of the run");
}

}  // namespace

bool is_of_adapter(const Kept& kept, const nn::Parameter& p) {
  return std::ranges::any_of(kept.adapters, [&](const models::LoraTarget& t) { return p.spec.name == t.a() || p.spec.name == t.b(); });
}

std::vector<nn::Piece> pieces_of(const nn::ParameterSpec& spec) {
  if (!spec.is_whole()) return spec.part.pieces;
  const std::vector<std::int64_t> zeros(spec.shape.size(), 0);
  return {{zeros, zeros, spec.shape}};
}

OrderedJson to_json(const Progress& progress, std::int64_t optimizer_steps) {
  return {{"format", "sluice-trainer"},
          {"version", 1},
          {"step", progress.step},
          {"data_position", progress.data_position},
          {"seed", progress.seed},
          {"data_fingerprint", progress.data_fingerprint},
          {"optimizer_steps", optimizer_steps},
          {"grad_norms", {{"mean", progress.grad_norms.mean}, {"count", progress.grad_norms.count}}},
          {"best_validation_loss", progress.best_validation_loss ? OrderedJson(*progress.best_validation_loss) : OrderedJson(nullptr)},
          {"best_step", progress.best_step}};
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
    if (state.contains("grad_norms")) {  // earlier versions counted none
      progress.grad_norms = {state["grad_norms"].at("mean").get<double>(), state["grad_norms"].at("count").get<std::int64_t>()};
    }
    return progress;
  } catch (const nlohmann::json::exception& e) {
    throw Error(path.string() + " is not a trainer state of this version: " + e.what(), "resume from another checkpoint");
  }
}

Loaded load_state(const fs::path& step_folder, const Kept& kept) {
  const at::NoGradGuard no_grad;
  const Loaded loaded = together(kept.mesh, [&] {
    Loaded out{read_progress(step_folder), 0};
    require_undamaged(step_folder, kept.mesh);
    if (kept.adapters.empty()) out.bytes_read += load_weights(step_folder, kept);
    else checkpoint::load_adapter(checkpoint::read_adapter(step_folder, kept.table), kept.store);
    out.bytes_read += load_trainer(step_folder / "trainer", kept);
    return out;
  });
  kept.shared.trim();
  kept.optimizer.set_steps_done(loaded.progress.optimizer_steps);
  return loaded;
}

}  // namespace sluice::train
