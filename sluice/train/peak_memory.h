// The most memory that each rank has had.
#pragma once
#include <string>
#include <vector>

#include "sluice/dist/mesh.h"

namespace sluice::train {

// Resident bytes / 1e9, files that are mapped included, of each rank so far. All ranks come here together.
std::vector<double> peak_memory_gb(const dist::Mesh& mesh);

// "peak memory: 1.21 GB", "peak memory of each rank: 1.21 1.19 GB"
std::string describe_peaks(const std::vector<double>& peaks_gb);

}  // namespace sluice::train
