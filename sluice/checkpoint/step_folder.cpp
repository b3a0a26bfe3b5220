#include "sluice/checkpoint/step_folder.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>

#include "sluice/base/error.h"
#include "sluice/checkpoint/observed_file.h"

namespace sluice::checkpoint {
namespace {

constexpr std::string_view kTemporaryPrefix = ".tmp-", kReplacedPrefix = ".replaced-", kStepPrefix = "step-";
constexpr std::uint64_t kLongestPointerBytes = 64;

// The names in RUN/checkpoints; none when there is no such folder.
std::vector<std::string> entry_names(const fs::path& run) {
  std::error_code failed;
  std::vector<std::string> names;
  const fs::path folder = checkpoints_folder(run);
  if (!fs::exists(folder, failed) && !failed) return names;
  for (fs::directory_iterator entry(folder, failed); !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
    names.push_back(entry->path().filename().string());
  }
  if (failed) throw Error("cannot read the folder " + folder.string() + ": " + failed.message(), "check the path and that you may read it");
  std::ranges::sort(names);
  return names;
}

// A name of its own for each save: what is left of an abandoned one, which other ranks may still write, does not get into the next.
std::string temporary_name(std::int64_t step) {
  return std::string(kTemporaryPrefix) + step_name(step) + "-" + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
}

std::string replaced_name(std::int64_t step) { return std::string(kReplacedPrefix) + step_name(step); }

void check_disk(const fs::path& run, std::int64_t step, std::uint64_t needed_bytes) {
  const std::uint64_t free_bytes = free_disk_bytes(checkpoints_folder(run));
  if (free_bytes >= kDiskMarginBytes && free_bytes - kDiskMarginBytes >= needed_bytes) return;
  throw Error("saving step " + std::to_string(step) + " needs " + std::to_string((needed_bytes >> 20) + 1) + " MiB and a margin of " +
                  std::to_string(kDiskMarginBytes >> 20) + " MiB, but the disk of " + checkpoints_folder(run).string() + " has " +
                  std::to_string(free_bytes >> 20) + " MiB free",
              "free some space, keep fewer checkpoints or put the run on another disk, then resume; earlier checkpoints are unchanged");
}

}  // namespace

std::string step_name(std::int64_t step) {
  SLUICE_CHECK(step >= 0, "step " + std::to_string(step));
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return name;
}

std::optional<std::int64_t> step_of(std::string_view folder_name) {
  if (!folder_name.starts_with(kStepPrefix)) return std::nullopt;
  const std::string_view digits = folder_name.substr(kStepPrefix.size());
  constexpr std::size_t kMinDigits = 8, kMaxDigits = 18;  // 18 always fit into 63 bits
  if (digits.size() < kMinDigits || digits.size() > kMaxDigits || digits.find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  const std::int64_t step = std::stoll(std::string(digits));
  return step_name(step) == folder_name ? std::optional(step) : std::nullopt;
}

fs::path checkpoints_folder(const fs::path& run) { return run / "checkpoints"; }

StepFolderWriter::StepFolderWriter(const fs::path& run, std::int64_t step, std::uint64_t needed_bytes, WriteObserver* observer)
    : run_(run), temporary_(checkpoints_folder(run) / temporary_name(step)), step_(step), observer_(observer) {
  clean_temporaries(run, observer);
  check_disk(run, step, needed_bytes);
  create_folder_observed(temporary_, observer);
}

StepFolderWriter::~StepFolderWriter() {
  if (committed_) return;
  std::error_code ignored;  // what went wrong before is what gets reported; the next save tries again to remove it
  fs::remove_all(temporary_, ignored);
}

void StepFolderWriter::write_file(const std::string& name, std::string_view bytes) {
  write_whole_file(temporary_ / name, bytes, observer_);
}

fs::path StepFolderWriter::commit() {
  SLUICE_CHECK(!committed_, "step " + std::to_string(step_) + " is already committed");
  write_manifest(temporary_, observer_);
  const fs::path folder = checkpoints_folder(run_), final_path = folder / step_name(step_), replaced = folder / replaced_name(step_);
  std::error_code failed;
  if (fs::exists(final_path, failed)) rename_observed(final_path, replaced, observer_);
  rename_observed(temporary_, final_path, observer_);
  committed_ = true;
  sync_folder_observed(folder, observer_);
  write_pointer(run_, kLatest, step_, observer_);
  if (fs::exists(replaced, failed)) remove_folder_observed(replaced, observer_);
  return final_path;
}

std::vector<StepFolder> list_steps(const fs::path& run) {
  std::map<std::int64_t, fs::path> folders;
  for (const std::string& name :
       entry_names(run)) {  // sorted: a replaced checkpoint (".") comes before its successor, which takes its place
    const bool replaced = name.starts_with(kReplacedPrefix);
    if (const auto step = step_of(replaced ? std::string_view(name).substr(kReplacedPrefix.size()) : name))
      folders[*step] = checkpoints_folder(run) / name;
  }
  std::vector<StepFolder> steps;
  for (const auto& [step, path] : folders) steps.push_back({step, path, manifest_fault(path, Verify::kSizes)});
  return steps;
}

std::optional<LatestStep> find_latest(const fs::path& run, Verify verify) {
  return find_latest(run, [&](const fs::path& folder) { return manifest_fault(folder, verify); });
}

std::optional<LatestStep> find_latest(const fs::path& run, const FindFault& find_fault) {
  const fs::path pointer = checkpoints_folder(run) / kLatest;
  const auto named = read_pointer(run, kLatest);
  std::error_code failed;
  std::string why = fs::exists(pointer, failed) ? pointer.string() + " names no checkpoint" : pointer.string() + " is missing";
  std::vector<StepFolder> steps = list_steps(run);
  std::ranges::reverse(steps);  // the newest first, and before all the one that `latest` names
  std::ranges::stable_partition(steps, [&](const StepFolder& folder) { return folder.step == named; });
  std::string last_fault;
  for (const StepFolder& folder : steps) {
    const auto fault = folder.fault ? folder.fault : find_fault(folder.path);
    if (!fault) {
      if (folder.step == named) return LatestStep{folder.step, folder.path, ""};
      return LatestStep{folder.step, folder.path, why + "; going on from " + folder.path.string() + ", the newest whole checkpoint"};
    }
    last_fault = folder.path.string() + " is not whole: " + *fault;
    if (folder.step == named) why = last_fault;
  }
  if (!steps.empty()) {
    throw Error(
        "none of the " + std::to_string(steps.size()) + " checkpoints in " + checkpoints_folder(run).string() + " is whole; " + last_fault,
        "copy them again, or start a fresh run in another folder");
  }
  if (fs::exists(pointer, failed)) {
    throw Error(pointer.string() + " is there, but no checkpoint",
                "put the checkpoints back, or remove that file to start from the beginning");
  }
  return std::nullopt;
}

fs::path follow_pointer(const fs::path& path) {
  std::error_code failed;
  if (!fs::is_regular_file(path, failed) || fs::file_size(path, failed) > kLongestPointerBytes) return path;
  const std::string name = path.filename().string();
  std::string text;
  if (name != kLatest && name != kBest) return path;
  LineReader(path).next(text);
  return step_of(text) ? path.parent_path() / text : path;
}

void write_pointer(const fs::path& run, const std::string& name, std::int64_t step, WriteObserver* observer) {
  write_whole_file(checkpoints_folder(run) / name, step_name(step) + "\n", observer);
}

std::optional<std::int64_t> read_pointer(const fs::path& run, const std::string& name) {
  const fs::path path = checkpoints_folder(run) / name;
  std::error_code failed;
  if (!fs::is_regular_file(path, failed)) return std::nullopt;
  std::string text;
  LineReader(path).next(text);
  return step_of(text);
}

void prune(const fs::path& run, int keep, const std::set<std::int64_t>& kept_steps, WriteObserver* observer) {
  SLUICE_CHECK(keep >= 1, "keep " + std::to_string(keep));
  std::vector<StepFolder> steps = list_steps(run);
  const auto latest = read_pointer(run, kLatest);
  if (latest) std::erase_if(steps, [&](const StepFolder& folder) { return folder.step > *latest; });
  std::ranges::reverse(steps);
  int num_kept = 0;
  for (const StepFolder& folder : steps) {
    if (num_kept < keep) {  // until enough whole ones are kept, faulty ones stay too: they may be all that there is
      num_kept += folder.fault ? 0 : 1;
      continue;
    }
    if (kept_steps.contains(folder.step) || folder.step == latest) continue;
    // Out of sight first: a kill while files go one by one leaves no half checkpoint under a good name.
    const fs::path doomed = checkpoints_folder(run) / (std::string(kTemporaryPrefix) + "pruned-" + step_name(folder.step));
    rename_observed(folder.path, doomed, observer);
    remove_folder_observed(doomed, observer);
  }
}

void clean_temporaries(const fs::path& run, WriteObserver* observer) {
  const fs::path folder = checkpoints_folder(run);
  for (const std::string& name : entry_names(run)) {
    const bool pointer_in_writing = name.find(".tmp") != std::string::npos && name.front() != '.';  // a file of ObservedFile's
    if (name.starts_with(kTemporaryPrefix) || pointer_in_writing) remove_folder_observed(folder / name, observer);
    if (!name.starts_with(kReplacedPrefix)) continue;
    const std::string original = name.substr(kReplacedPrefix.size());
    std::error_code failed;
    if (fs::exists(folder / original, failed)) {
      remove_folder_observed(folder / name, observer);
    } else {
      rename_observed(folder / name, folder / original, observer);
      sync_folder_observed(folder, observer);
    }
  }
}

}  // namespace sluice::checkpoint
