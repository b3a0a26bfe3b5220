// The export in Hugging Face's layout (RUN/hf, or checkpoint.hf_save_path) against the weights that the run ends with: a resumed run may
// have left an older one behind.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "sluice/base/file.h"
#include "sluice/monitor/run_info.h"

namespace sluice::train {

enum class ExportWanted { kYes, kNo };  // checkpoint.export_hf

// Whether the export in `folder` holds the weights of `final_step`, at which the run ends.
bool export_is_final(const fs::path& folder, const std::optional<monitor::Exported>& exported, std::int64_t final_step);

// What to say of an export that is there when the run goes on and its weights change; empty where there is none.
std::string export_note(const fs::path& folder, const std::optional<monitor::Exported>& exported, ExportWanted wanted);

// What to say at the end of a run that exported nothing, of an export that is not of its final weights; empty where all is well.
std::string export_warning(const fs::path& folder, const std::optional<monitor::Exported>& exported, std::int64_t final_step);

}  // namespace sluice::train
