#include "sluice/train/saving.h"

#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/sharded.h"

namespace sluice::train {
namespace {

using namespace std::chrono_literals;

constexpr auto kOthersPatience = 5s;  // of a leader that commits alone, for ranks that may be gone

// What this rank has of a tensor.
struct Stored {
  std::string name;
  const nn::ParameterSpec* spec;
  at::Tensor tensor;  // in the spec's shape
  bool is_copy = false;
};

// A block of a tensor, as it goes into a file.
struct Part {
  checkpoint::TensorPart place;
  at::Tensor values;
};

// `prefix` + name of what this rank saves of a buffer as long as the store's flat ones. All ranks come here.
void add_flat(std::vector<Stored>& out, const Kept& kept, const std::string& prefix, const at::Tensor& flat) {
  kept.shared.complete(flat, [&](const nn::Parameter& p, const at::Tensor& value) {
    if (!kept.saves(p)) return;
    const bool gathered = !value.is_alias_of(flat);  // a whole run, of which this is a part
    out.push_back({prefix + p.spec.name, &p.spec, gathered ? value.clone() : value, gathered});
  });
}

// What this rank saves of the parameters. All ranks come here.
std::vector<Stored> weights_to_save(const Kept& kept) {
  std::vector<Stored> out;
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

// The adapters whole, for the leader; nothing on other ranks. All come here.
checkpoint::AdapterValues whole_adapters(const Kept& kept) {
  std::map<std::string, at::Tensor> saved;
  for (const Stored& stored : weights_to_save(kept)) saved[stored.name] = stored.tensor.detach();
  checkpoint::AdapterValues out;
  for (const nn::Parameter& p : kept.store.all()) {
    if (!is_of_adapter(kept, p)) continue;
    const at::Tensor whole = at::zeros(p.spec.whole_shape());  // each element is saved by one rank, so that sums are values
    if (const auto here = saved.find(p.spec.name); here != saved.end()) {
      for (const nn::Piece& piece : pieces_of(p.spec)) nn::block(whole, piece.from, piece.lengths).copy_(nn::block(here->second, piece.to, piece.lengths));
    }
    kept.mesh.world->all_reduce(whole, dist::Reduce::kSum);
    if (kept.mesh.leads()) out[p.spec.name] = whole;
  }
  return out;
}

std::vector<Part> parts_of(const std::vector<Stored>& tensors, SaveMode mode) {
  std::vector<Part> out;
  for (const Stored& stored : tensors) {
    for (const nn::Piece& piece : pieces_of(*stored.spec)) {
      at::Tensor values = nn::block(stored.tensor.detach(), piece.to, piece.lengths);
      if (mode == SaveMode::kInBackground) values = stored.is_copy ? values.contiguous() : values.clone(at::MemoryFormat::Contiguous);
      out.push_back({{stored.name, checkpoint::from_torch(values.scalar_type()), stored.spec->whole_shape(), {piece.from, piece.lengths}}, std::move(values)});
    }
  }
  return out;
}

std::uint64_t total_bytes(const std::vector<Part>& parts) {
  std::uint64_t total = 0;
  for (const Part& part : parts) total += part.values.nbytes();
  return total;
}

struct Abandoned {};  // ends the thread of a save that nobody waits for

// Appends the files to `files`.
void write(const fs::path& folder, std::int64_t rank, const std::vector<Part>& parts, const std::atomic<bool>& abandoned, std::vector<fs::path>& files) {
  std::vector<checkpoint::TensorPart> places;
  for (const Part& part : parts) places.push_back(part.place);
  at::Tensor current;  // holds the bytes until the next are asked for
  const auto written = checkpoint::write_shard(folder, static_cast<int>(rank), places, [&](std::size_t i) {
    if (abandoned) throw Abandoned{};
    current = parts[i].values.contiguous();
    return std::span<const std::byte>(checkpoint::bytes_of(current));
  });
  files.insert(files.end(), written.begin(), written.end());
}

}  // namespace

Saving::Saving(const fs::path& run, const Progress& progress, const Kept& kept, const std::function<void(const fs::path& folder)>& extra, SaveMode mode)
    : mesh_(kept.mesh), step_(progress.step) {
  const bool adapts = !kept.adapters.empty();
  const checkpoint::AdapterValues adapters = adapts ? whole_adapters(kept) : checkpoint::AdapterValues{};
  auto weights = adapts ? std::vector<Part>{} : parts_of(weights_to_save(kept), mode), trainer = parts_of(trainer_to_save(kept), mode);
  bytes_ = total_bytes(weights) + total_bytes(trainer);
  auto needed = static_cast<std::uint64_t>(mesh_.world->sum(static_cast<double>(bytes_)));
  if (adapts) needed += needed / 2;  // the adapters, of which these are the moments
  const std::string made = together(mesh_, [&]() -> std::string {
    if (!mesh_.leads()) return "";
    writer_.emplace(run, step_, needed);
    fs::create_directories(writer_->folder() / "trainer");
    writer_->write_file("trainer/state.json", to_json(progress, kept.optimizer.steps_done()).dump(2) + "\n");
    if (adapts) checkpoint::write_adapter(writer_->folder(), kept.adapters, kept.note, kept.table, adapters);
    extra(writer_->folder());
    return writer_->folder().string();
  });
  folder_ = mesh_.from_leader(made);
  written_ = std::async(mode == SaveMode::kWait ? std::launch::deferred : std::launch::async, [this, weights = std::move(weights), trainer = std::move(trainer)] {
    std::vector<fs::path> files;
    write(folder_, mesh_.rank, weights, abandoned_, files);
    write(folder_ / "trainer", mesh_.rank, trainer, abandoned_, files);
    checkpoint::note_files(folder_, files, std::to_string(mesh_.rank), nullptr);
  });
}

Saving::~Saving() {
  abandoned_ = true;  // the future waits for its thread
}

bool Saving::is_written() const { return !written_.valid() || written_.wait_for(0s) != std::future_status::timeout; }

void Saving::commit() {
  together(mesh_, [&] {
    written_.get();
    return true;
  });
  together(mesh_, [&] {
    if (writer_) writer_->commit();
    return true;
  });
}

bool Saving::commit_alone() {
  written_.get();
  const auto until = std::chrono::steady_clock::now() + kOthersPatience;
  while (checkpoint::num_notes(folder_) < mesh_.world->size()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(50ms);
  }
  writer_->commit();
  return true;
}

}  // namespace sluice::train
