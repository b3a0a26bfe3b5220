#include "sluice/monitor/run_info.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/monitor/json_fields.h"

namespace sluice::monitor {
namespace {

constexpr const char* kFileName = "run.json";
constexpr std::array<std::pair<RunState, const char*>, 4> kStateNames = {{{RunState::kRunning, "running"},
                                                                          {RunState::kFinished, "finished"},
                                                                          {RunState::kInterrupted, "interrupted"},
                                                                          {RunState::kFailed, "failed"}}};

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

}  // namespace

RunInfo running_here() {
  RunInfo info;
  info.pid = getpid();
  info.host = host_name();
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  info.started = text;
  return info;
}

std::string name(RunState state) {
  const auto* known = std::find_if(kStateNames.begin(), kStateNames.end(), [&](const auto& entry) { return entry.first == state; });
  SLUICE_CHECK(known != kStateNames.end(), "a run state without a name");
  return known->second;
}

void write_run_info(const fs::path& run_folder, const RunInfo& info) {
  OrderedJson out = {{"state", name(info.state)}};
  if (!info.detail.empty()) out["detail"] = info.detail;
  out["pid"] = info.pid;
  out["host"] = info.host;
  out["started"] = info.started;
  out["total_steps"] = info.total_steps;
  out["model_name"] = info.model_name;
  out["num_layers"] = info.num_layers;
  out["num_experts"] = info.num_experts;
  out["categories"] = info.categories;
  out["version"] = info.version;
  if (info.exported) out["exported"] = {{"step", info.exported->step}, {"outdated", info.exported->outdated}};
  write_file_atomic(run_folder / kFileName, dump_json(out) + "\n");
}

std::optional<RunInfo> read_run_info(const fs::path& run_folder) {
  const fs::path path = run_folder / kFileName;
  if (!fs::exists(path)) return std::nullopt;
  const std::string where = path.string();
  const Json value = parse_json(read_file(path), where);
  const std::string remedy = "remove the file, or resume the run, which writes it again";
  const JsonFields fields(value, where, remedy);
  RunInfo info;
  const std::string state = fields.text("state");
  const auto* known = std::find_if(kStateNames.begin(), kStateNames.end(), [&](const auto& entry) { return entry.second == state; });
  if (known == kStateNames.end()) throw Error(where + ": unknown state \"" + state + "\"", remedy);
  info.state = known->first;
  if (fields.has("detail")) info.detail = fields.text("detail");
  info.pid = fields.integer("pid");
  info.host = fields.text("host");
  info.started = fields.text("started");
  info.total_steps = fields.integer("total_steps");
  info.model_name = fields.text("model_name");
  info.num_layers = fields.integer("num_layers");
  info.num_experts = fields.integer("num_experts");
  info.categories = fields.texts("categories");
  info.version = fields.text("version");
  if (fields.has("exported")) {
    const JsonFields exported(fields.at("exported"), where, remedy);
    info.exported = {exported.integer("step"), exported.flag("outdated")};
  }
  return info;
}

Alive alive(const RunInfo& info) {
  if (info.state != RunState::kRunning) return Alive::kNo;
  if (info.host != host_name()) return Alive::kUnknown;
  if (info.pid <= 0 || info.pid > 0x7fffffff) return Alive::kNo;
  // Signal 0 only asks; a process of another user answers EPERM, and is there.
  return kill(static_cast<pid_t>(info.pid), 0) == 0 || errno == EPERM ? Alive::kYes : Alive::kNo;
}

}  // namespace sluice::monitor
