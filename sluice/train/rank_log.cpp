#include "sluice/train/rank_log.h"

#include <unistd.h>

#include <cstdio>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/dist/process.h"

namespace sluice::train {
namespace {

std::string file_name(std::int64_t rank, const char* suffix) {
  char name[32];
  std::snprintf(name, sizeof name, "rank-%05lld%s", static_cast<long long>(rank), suffix);
  return name;
}

fs::path in_folder(const fs::path& folder, const std::string& name) {
  fs::create_directories(folder);
  return folder / name;
}

Json to_json(const dist::Traffic::Counts& counts) {
  Json out = Json::object();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto& [calls, bytes] = counts[i];
    if (calls > 0) out[std::string(name_of(static_cast<dist::Operation>(i)))] = {{"calls", calls}, {"bytes", bytes}};
  }
  return out;
}

}  // namespace

void RankLog::open(const Recipe& recipe) {
  const fs::path run = recipe.output_dir;
  if (recipe.log.rank_files && !mesh_.world->alone()) open_log(run);
  if (recipe.log.traffic) {
    traffic_path_ = in_folder(run / "traffic", file_name(mesh_.rank, ".jsonl"));
    traffic_.open(traffic_path_, std::ios::app);
    if (!traffic_) throw Error("cannot write " + traffic_path_.string(), "see that there is space, or leave log.traffic out");
  }
  if (!recipe.log.trace) return;
  mesh_.observers->trace.open(in_folder(run / "trace", file_name(mesh_.rank, ".json")), mesh_.rank);
  steps_to_trace_ = recipe.log.trace_steps;
}

void RankLog::open_log(const fs::path& run) {
  log_.open_file(in_folder(run / "logs", file_name(mesh_.rank, ".txt")));
  const dist::Place& place = mesh_.place;
  note("rank " + std::to_string(mesh_.rank) + " of " + std::to_string(mesh_.world->size()) + ", host " + dist::this_process().host + ", process " + std::to_string(getpid()) + ": tensor " +
       std::to_string(place.tensor) + ", context " + std::to_string(place.context) + ", data " + std::to_string(place.data) + ", pipeline " + std::to_string(place.pipeline) + ", expert " + std::to_string(place.expert));
}

void RankLog::begin_step() { mesh_.observers->traffic.reset(); }

void RankLog::end_step(std::int64_t number) {
  if (traffic_.is_open() && !(traffic_ << traffic_of(number) << std::endl)) {
    throw Error("cannot write to " + traffic_path_.string(), "make space on its disk, or go on without log.traffic");
  }
  if (steps_to_trace_ > 0 && --steps_to_trace_ == 0) mesh_.observers->trace.close();
}

std::string RankLog::traffic_of(std::int64_t step) const {
  const dist::Traffic& traffic = mesh_.observers->traffic;
  Json groups = Json::object();
  for (const auto& [name, counts] : traffic.groups()) {
    if (Json exchanges = to_json(counts); !exchanges.empty()) groups[name] = std::move(exchanges);
  }
  return dump_json(Json{{"step", step}, {"bytes", traffic.bytes()}, {"groups", std::move(groups)}});
}

}  // namespace sluice::train
