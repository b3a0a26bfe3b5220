#include "sluice/train/export_state.h"

namespace sluice::train {
namespace {

bool has_export(const fs::path& folder) { return fs::exists(folder / "config.json"); }

std::string weights_of(const std::optional<monitor::Exported>& exported) {
  return exported ? "the weights that the run had at step " + std::to_string(exported->step)
                  : "weights of before, of a step that nothing tells";
}

}  // namespace

bool export_is_final(const fs::path& folder, const std::optional<monitor::Exported>& exported, std::int64_t final_step) {
  return has_export(folder) && exported && !exported->outdated && exported->step == final_step;
}

std::string export_note(const fs::path& folder, const std::optional<monitor::Exported>& exported, ExportWanted wanted) {
  if (!has_export(folder)) return "";
  return folder.string() + " holds " + weights_of(exported) +
         (wanted == ExportWanted::kYes ? "; the final ones replace them at the end"
                                       : "; checkpoint.export_hf=true replaces them at the end");
}

std::string export_warning(const fs::path& folder, const std::optional<monitor::Exported>& exported, std::int64_t final_step) {
  if (!has_export(folder) || export_is_final(folder, exported, final_step)) return "";
  return folder.string() + " is not the final model: it holds " + weights_of(exported) + ", and the run ended at step " +
         std::to_string(final_step) + " without checkpoint.export_hf; --resume latest checkpoint.export_hf=true writes it anew";
}

}  // namespace sluice::train
