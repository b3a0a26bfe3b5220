#include "sluice/cli/doctor.h"

#include <ATen/Parallel.h>
#include <torch/version.h>
#include <unistd.h>

#include <iostream>
#include <thread>

#include "sluice/base/error.h"
#include "sluice/base/version.h"
#include "sluice/kernels/cpu/cpu_features.h"
#include "sluice/monitor/hardware.h"

namespace sluice::cli {
namespace {

std::string gib(std::uint64_t bytes) { return std::to_string(bytes >> 30) + " GiB"; }

}  // namespace

int run_doctor(const Arguments& arguments, Log&) {
  if (!arguments.empty()) {
    if (arguments[0] != "--help") throw Error("sluice doctor takes no arguments", "sluice doctor");
    std::cout << "usage: sluice doctor\n\nSays what this machine has, and what that means for training here.\n";
    return 0;
  }
  const monitor::HardwareSample hardware = monitor::HardwareSampler(getpid()).sample();
  std::cout << "sluice      " << kVersion << ", libtorch " << TORCH_VERSION << "\n"
            << "processors  " << std::thread::hardware_concurrency() << ", training uses " << at::get_num_threads() << " threads (OMP_NUM_THREADS)\n"
            << "kernels     " << (kernels::cpu::has_avx512_bf16() ? "AVX512_BF16: the fast bf16 path" : "no AVX512_BF16: bf16 through ATen; train.precision=fp32 may be as fast") << "\n"
            << "memory      " << gib(hardware.memory_total_bytes) << "\n"
            << "disk        " << gib(free_disk_bytes(".")) << " free here\n";
  if (hardware.gpus.empty()) std::cout << "gpu         none seen (nvidia-smi)\n";
  for (const auto& gpu : hardware.gpus) std::cout << "gpu         " << gpu.name << ", " << gib(gpu.memory_total_bytes.value_or(0)) << "; this build computes on the CPU\n";
  for (const fs::path& folder : recipe_folders()) std::cout << "recipes     " << folder.string() << (fs::is_directory(folder) ? "" : " (missing: run from a checkout)") << "\n";
  return 0;
}

}  // namespace sluice::cli
