#include "sluice/convert/output_folder.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>

#include "sluice/base/error.h"
#include "sluice/checkpoint/step_folder.h"

namespace sluice::convert {
namespace {

constexpr const char* kPlanName = "plan.json";

bool same_plan(const fs::path& file, const OrderedJson& plan) { return fs::exists(file) && read_file(file) == plan.dump(2) + "\n"; }

// What a killed writer left under a temporary name.
void remove_unfinished(const fs::path& folder) {
  std::vector<fs::path> unfinished;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().filename().string().find(".tmp") != std::string::npos) unfinished.push_back(entry.path());
  }
  for (const fs::path& path : unfinished) fs::remove_all(path);
}

std::string gigabytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

std::uint64_t bytes_in(const fs::path& folder) {
  std::uint64_t total = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) total += entry.is_regular_file() ? entry.file_size() : 0;
  return total;
}

OutputFolder::OutputFolder(const fs::path& to, const OrderedJson& plan, std::uint64_t bytes, Log& log)
    : to_(fs::absolute(to).lexically_normal()) {
  if (!to_.has_filename()) to_ = to_.parent_path();
  partial_ = to_.string() + ".partial";
  require_free(to);
  const bool begun = fs::exists(partial_);
  if (begun) lock_.emplace(partial_);
  const std::uint64_t there = begun ? bytes_in(partial_) : 0;  // kept, or removed to make room
  const std::uint64_t needed = bytes - std::min(bytes, there) + checkpoint::kDiskMarginBytes;
  if (const std::uint64_t free = free_disk_bytes(to_); free < needed) {
    throw Error("the conversion needs " + gigabytes(needed) + " on the disk of " + to_.string() + ", which has " + gigabytes(free) + " free",
                "free some space, or give a --to on another disk");
  }
  fs::create_directories(partial_);
  if (!begun) lock_.emplace(partial_);
  require_free(to);  // again: another conversion may have ended before the lock was ours
  keep_or_empty(plan, log);
  write_file_atomic(partial_ / kPlanName, plan.dump(2) + "\n");
}

void OutputFolder::require_free(const fs::path& given) const {
  if (!fs::exists(to_) || (fs::is_directory(to_) && fs::is_empty(to_))) return;
  throw Error("--to " + given.string() + " exists and is not an empty folder", "give a new folder, or remove that one");
}

// What an earlier attempt left stays where it is of the same plan.
void OutputFolder::keep_or_empty(const OrderedJson& plan, Log& log) {
  if (same_plan(partial_ / kPlanName, plan)) {
    remove_unfinished(partial_);
    log.note("going on with the conversion that left " + partial_.string());
    return;
  }
  if (fs::is_empty(partial_)) return;
  if (!fs::exists(partial_ / kPlanName)) {
    throw Error(partial_.string() + ", where the conversion is made, exists and is none of a conversion's", "move it away, or give another --to");
  }
  log.note(partial_.string() + " is of another conversion and is made anew");
  std::vector<fs::path> left;  // but for the plan, which says whose they are until the new one replaces it
  for (const auto& entry : fs::directory_iterator(partial_)) {
    if (entry.path().filename() != kPlanName) left.push_back(entry.path());
  }
  for (const fs::path& path : left) fs::remove_all(path);
}

void OutputFolder::commit() {
  fs::remove(partial_ / kPlanName);
  sync_folder(partial_);
  require_free(to_);
  if (fs::exists(to_)) fs::remove(to_);
  fs::rename(partial_, to_);
  sync_folder(to_.parent_path());
}

Progress::Progress(std::string what, std::uint64_t total_bytes, Log& log) : what_(std::move(what)), total_(total_bytes), start_s_(now_s()), log_(log) {}

void Progress::add(std::uint64_t bytes) {
  done_ += bytes;
  show(false);
}

void Progress::finish() { show(true); }

void Progress::show(bool last) {
  const double now = now_s(), seconds = now - start_s_, share = total_ == 0 ? 1 : static_cast<double>(done_) / static_cast<double>(total_);
  char line[160];
  std::snprintf(line, sizeof line, "%s: %3.0f %%, %s of %s, %.0f s", what_.c_str(), 100 * share, gigabytes(done_).c_str(), gigabytes(total_).c_str(), seconds);
  if (isatty(STDERR_FILENO)) {
    if (!last && now - shown_s_ < 0.1) return;
    shown_s_ = now;
    std::cerr << "\r" << line << "\x1b[K" << (last ? "\n" : "") << std::flush;
  } else if (const int tenths = static_cast<int>(share * 10); last || (tenths > tenths_ && seconds > 5)) {
    tenths_ = tenths;
    log_.info(line);
  }
}

}  // namespace sluice::convert
