// What the machine is doing: processors, memory, GPUs.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/file.h"

namespace sluice::monitor {

struct GpuSample {
  std::string index, name;
  std::optional<double> load;  // [0, 1]; what the driver does not tell (MIG, some cards) is absent
  std::optional<std::uint64_t> memory_used_bytes, memory_total_bytes;
  std::optional<double> temperature_c, power_w;
};

struct HardwareSample {
  int num_cpus = 0;
  std::optional<double> cpu_load;  // [0, 1] over all processors since the sample before; absent in the first
  std::uint64_t memory_total_bytes = 0, memory_available_bytes = 0;
  std::optional<std::uint64_t> process_memory_bytes;  // resident, of the watched process; absent when it has gone
  std::vector<GpuSample> gpus;
  std::string gpu_note;  // why `gpus` is empty
};

// The lines of `nvidia-smi --query-gpu=<kGpuQuery> --format=csv,noheader,nounits`; lines of another form are left out.
inline constexpr const char* kGpuQuery = "index,name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw";
std::vector<GpuSample> parse_nvidia_smi(const std::string& csv);

// Where a sampler looks; tests name others.
struct HardwareSources {
  fs::path proc = "/proc";
  std::string nvidia_smi = "nvidia-smi";  // a path, or a name looked up on PATH
  double timeout_s = 5;                   // of nvidia-smi, which can hang on a sick driver
};

class HardwareSampler {
 public:
  using Sources = HardwareSources;
  explicit HardwareSampler(std::int64_t watched_pid, Sources sources = {});
  HardwareSample sample();

 private:
  std::int64_t watched_pid_;
  Sources sources_;
  std::uint64_t busy_ = 0, total_ = 0;  // processor ticks at the last sample
};

}  // namespace sluice::monitor
