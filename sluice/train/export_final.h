// The weights that a run ends with, in Hugging Face's layout.
#pragma once
#include "sluice/base/log.h"
#include "sluice/train/session.h"

namespace sluice::train {

// Writes the recipe's export folder: from memory, LoRA merged into the weights, which are then of no other use; or where ranks hold parts of them from
// `step_folder`, the last checkpoint, tensor by tensor. For the leader.
void export_final(const Session& session, const fs::path& step_folder, Log& log);

}  // namespace sluice::train
