#include "sluice/train/peak_memory.h"

#include <ATen/ATen.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace sluice::train {
namespace {

// Of this process. getrusage's ru_maxrss would begin with what the program that started it had.
double own_peak_gb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    double kilobytes = 0;
    if (words >> name >> kilobytes && name == "VmHWM:") return kilobytes * 1024 / 1e9;
  }
  return 0;
}

}  // namespace

std::vector<double> peak_memory_gb(const dist::Mesh& mesh) {
  const at::Tensor own = at::full({1}, own_peak_gb(), at::kDouble), all = at::empty({mesh.world->size()}, at::kDouble);
  mesh.world->start_all_gather(all, own)->wait();
  return {all.data_ptr<double>(), all.data_ptr<double>() + all.numel()};
}

std::string describe_peaks(const std::vector<double>& peaks_gb) {
  std::string out = peaks_gb.size() == 1 ? "peak memory:" : "peak memory of each rank:";
  for (const double peak : peaks_gb) {
    char text[32];
    std::snprintf(text, sizeof text, " %.2f", peak);
    out += text;
  }
  return out + " GB";
}

}  // namespace sluice::train
