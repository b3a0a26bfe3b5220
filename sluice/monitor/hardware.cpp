#include "sluice/monitor/hardware.h"

#include <charconv>
#include <fstream>
#include <sstream>
#include <utility>

#include "sluice/monitor/subprocess.h"

namespace sluice::monitor {
namespace {

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r"), last = text.find_last_not_of(" \t\r");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;  // "[N/A]", "[Not Supported]"
  return value;
}

std::optional<std::uint64_t> bytes_from_mib(const std::string& text) {
  const auto mib = number(text);
  if (!mib || *mib < 0 || *mib > 1e12) return std::nullopt;
  return static_cast<std::uint64_t>(*mib) << 20;
}

// The value of a line "KEY:   123 kB" of /proc/meminfo or /proc/PID/status, in bytes.
std::optional<std::uint64_t> kilobyte_line(const fs::path& path, const std::string& key) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key + ":")) continue;
    std::uint64_t kilobytes = 0;
    if (std::istringstream(line.substr(key.size() + 1)) >> kilobytes) return kilobytes << 10;
  }
  return std::nullopt;
}

struct CpuTicks {
  std::uint64_t busy = 0, total = 0;
  int cpus = 0;
};

// /proc/stat: user nice system idle iowait irq softirq steal (the guest columns after them are counted in user already).
CpuTicks read_cpu_ticks(const fs::path& path) {
  CpuTicks ticks;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line) && line.starts_with("cpu");) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name != "cpu") {
      ++ticks.cpus;
      continue;
    }
    std::uint64_t value = 0;
    for (int column = 0; column < 8 && words >> value; ++column) {
      ticks.total += value;
      if (column != 3 && column != 4) ticks.busy += value;
    }
  }
  return ticks;
}

}  // namespace

std::vector<GpuSample> parse_nvidia_smi(const std::string& csv) {
  std::vector<GpuSample> out;
  std::istringstream lines(csv);
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, ',');) cells.push_back(trimmed(cell));
    if (cells.size() != 7) continue;
    GpuSample gpu;
    gpu.index = cells[0];
    gpu.name = cells[1];
    if (const auto percent = number(cells[2])) gpu.load = *percent / 100;
    gpu.memory_used_bytes = bytes_from_mib(cells[3]);
    gpu.memory_total_bytes = bytes_from_mib(cells[4]);
    gpu.temperature_c = number(cells[5]);
    gpu.power_w = number(cells[6]);
    out.push_back(std::move(gpu));
  }
  return out;
}

HardwareSampler::HardwareSampler(std::int64_t watched_pid, Sources sources) : watched_pid_(watched_pid), sources_(std::move(sources)) {}

HardwareSample HardwareSampler::sample() {
  HardwareSample out;
  const CpuTicks ticks = read_cpu_ticks(sources_.proc / "stat");
  out.num_cpus = ticks.cpus;
  if (total_ > 0 && ticks.total > total_ && ticks.busy >= busy_) {
    out.cpu_load = static_cast<double>(ticks.busy - busy_) / static_cast<double>(ticks.total - total_);
  }
  busy_ = ticks.busy;
  total_ = ticks.total;
  out.memory_total_bytes = kilobyte_line(sources_.proc / "meminfo", "MemTotal").value_or(0);
  out.memory_available_bytes = kilobyte_line(sources_.proc / "meminfo", "MemAvailable").value_or(0);
  if (watched_pid_ > 0) out.process_memory_bytes = kilobyte_line(sources_.proc / std::to_string(watched_pid_) / "status", "VmRSS");
  const SubprocessResult smi =
      run_program({sources_.nvidia_smi, std::string("--query-gpu=") + kGpuQuery, "--format=csv,noheader,nounits"}, sources_.timeout_s);
  if (smi.output) out.gpus = parse_nvidia_smi(*smi.output);
  if (out.gpus.empty()) out.gpu_note = smi.output ? "no GPU" : "no GPU (" + smi.failure + ")";
  return out;
}

}  // namespace sluice::monitor
