// Everything that can be found wrong before a run starts, found together: what a real start and a dry run both do first.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "sluice/train/resources.h"
#include "sluice/train/resume.h"
#include "sluice/train/run.h"
#include "sluice/train/session.h"

namespace sluice::train {

// Whether an earlier run lies in the run folder, to be replaced once data and model are known to be good.
enum class Folder { kFresh, kReplaces };

// A run that may start.
struct Start {
  SessionData data;
  std::optional<fs::path> resume_from;
  Folder folder = Folder::kFresh;
  Footprint footprint;
  DiskNeed disk;
  std::vector<std::string> notes, warnings;  // for the log, once there is one
};

// Opens the data and checks every row, the names in train.freeze, memory, disk, the run folder, and the checkpoint to go on from. Writes
// nothing. Error that lists all that is wrong.
Start check_start(const ResolvedRecipe& resolved, const RunOptions& options, const checkpoint::FindFault& find_fault = contents_fault());

}  // namespace sluice::train
