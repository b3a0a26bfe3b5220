// The life of RUN/checkpoints/: one folder a saved step, `latest` naming the newest, and what a kill at any moment leaves behind.
//   step-00000500/            a whole checkpoint: it got this name after its manifest was on disk
//   latest                    the name of the last one saved, replaced after that
//   .tmp-...                  being written or removed; worthless
//   .replaced-step-00000500/  the former checkpoint of a step that is saved again, until the new one is in place
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/checkpoint/manifest.h"
#include "sluice/checkpoint/write_observer.h"

namespace sluice::checkpoint {

// What a disk must still have free after a save, beside the checkpoint itself.
inline constexpr std::uint64_t kDiskMarginBytes = 64 << 20;

// The pointers of a run: the checkpoint that was saved last, and the one with the lowest validation loss.
inline constexpr const char* kLatest = "latest";
inline constexpr const char* kBest = "best";

std::string step_name(std::int64_t step);                           // 500 -> "step-00000500"; step >= 0
std::optional<std::int64_t> step_of(std::string_view folder_name);  // the reverse; nothing for any other name
fs::path checkpoints_folder(const fs::path& run);                   // RUN/checkpoints

// Saves one checkpoint of a run. One process makes it; other ranks write into folder() too, and all must be done before commit().
class StepFolderWriter {
 public:
  // Clears what a killed save left behind and makes the temporary folder. Error before anything is written when the disk has not
  // `needed_bytes` and kDiskMarginBytes left.
  StepFolderWriter(const fs::path& run, std::int64_t step, std::uint64_t needed_bytes, WriteObserver* observer = nullptr);
  ~StepFolderWriter();  // without commit(): removes what was written
  StepFolderWriter(const StepFolderWriter&) = delete;
  StepFolderWriter& operator=(const StepFolderWriter&) = delete;

  const fs::path& folder() const { return temporary_; }  // write files here, in subfolders if you like
  void write_file(const std::string& name, std::string_view bytes);

  // Syncs the files, writes the manifest, gives the folder its name (replacing an earlier checkpoint of the same step), then moves
  // `latest`. Returns the final folder. After an Error the run's earlier checkpoints are intact.
  fs::path commit();

 private:
  fs::path run_, temporary_;
  std::int64_t step_;
  WriteObserver* observer_;
  bool committed_ = false;
};

struct StepFolder {
  std::int64_t step;
  fs::path path;
  std::optional<std::string> fault;  // why it is not a whole checkpoint (Verify::kSizes); nothing when it is
};

// The run's checkpoints, ascending by step. Empty when it has none.
std::vector<StepFolder> list_steps(const fs::path& run);

struct LatestStep {
  std::int64_t step;
  fs::path path;
  std::string note;  // why this is not the one that `latest` names; empty when it is
};

// What keeps a step folder from being a whole checkpoint, as manifest_fault().
using FindFault = std::function<std::optional<std::string>(const fs::path& step_folder)>;

// The whole checkpoint to go on from: the one that `latest` names, else the newest, each looked at as `verify` says, or by `find_fault`, before it
// is taken. Nothing when none was ever saved; Error when there are checkpoints, or a `latest`, but nothing whole to go on from.
std::optional<LatestStep> find_latest(const fs::path& run, Verify verify = Verify::kSizes);
std::optional<LatestStep> find_latest(const fs::path& run, const FindFault& find_fault);

// The step folder that a pointer file (`latest` or `best`) names; any other path as it is.
fs::path follow_pointer(const fs::path& path);

// RUN/checkpoints/NAME holds the name of a step's folder, replaced as a whole: `latest`, and pointers of one's own such as `best`.
void write_pointer(const fs::path& run, const std::string& name, std::int64_t step, WriteObserver* observer = nullptr);
std::optional<std::int64_t> read_pointer(const fs::path& run, const std::string& name);  // nothing when absent or not a step's name

// Removes all but the `keep` (at least 1) newest whole checkpoints up to the one that `latest` names. Steps in `kept_steps` (the best,
// say) stay in addition; so do steps beyond `latest`, left by a run that was since resumed from before them, and `latest` itself.
void prune(const fs::path& run, int keep, const std::set<std::int64_t>& kept_steps, WriteObserver* observer = nullptr);

// Removes what killed saves and removals left behind; a replaced checkpoint whose successor never came gets its name back.
void clean_temporaries(const fs::path& run, WriteObserver* observer = nullptr);

}  // namespace sluice::checkpoint
