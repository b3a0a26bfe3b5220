// Going on from a checkpoint: which one, and whether it and the recipe fit each other. Nothing is loaded here.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/checkpoint/step_folder.h"
#include "sluice/train/recipe.h"
#include "sluice/train/session.h"
#include "sluice/train/state.h"

namespace sluice::train {

// Compares step folders with their manifests, contents included, each rank its share of the files: for the leader, while the others are in
// look_along().
class SharedLook {
 public:
  explicit SharedLook(const dist::Mesh& mesh) : mesh_(mesh) {}
  ~SharedLook();  // lets the others go on
  SharedLook(const SharedLook&) = delete;
  SharedLook& operator=(const SharedLook&) = delete;
  std::optional<std::string> fault_of(const fs::path& step_folder) const;

 private:
  const dist::Mesh& mesh_;
};
void look_along(const dist::Mesh& mesh);

struct ResumePoint {
  fs::path folder;      // the step folder
  std::string warning;  // why it is not the one that was asked for, when the newest turned out damaged; may be empty
};

// What `--resume ASKED` means for a run in `output`: "latest", a run folder, a step folder, or a pointer (checkpoints/best). A newest
// checkpoint whose files are cut or whose bytes have changed, as `find_fault` says, is passed over for the newest whole one. Nothing where `latest`
// has no checkpoint yet; Error where a path has none.
checkpoint::FindFault contents_fault();  // by this process alone
std::optional<ResumePoint> find_resume(const std::string& asked, const fs::path& output, const checkpoint::FindFault& find_fault = contents_fault());

// The recipe of a run that goes on by `--resume ASKED` (empty: that does not): adapters that began as lora.adapter are those of the checkpoint.
ResolvedRecipe as_resumed(ResolvedRecipe resolved, const std::string& asked);

// Adds each setting that must be as it was when the checkpoint was saved, and is not: the model's sizes, what is trained, the seed, the
// rows of a step, and the data (`data` is null where it could not be opened). Error when the folder has no trainer state.
void check_resume(const fs::path& step_folder, const ResolvedRecipe& resolved, const SessionData* data, Violations& violations);

// The settings that changed since the run of this checkpoint was started, as "key: old -> new".
std::vector<std::string> changed_settings(const fs::path& step_folder, const ResolvedRecipe& resolved);

}  // namespace sluice::train
