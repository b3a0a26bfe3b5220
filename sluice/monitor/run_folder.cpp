#include "sluice/monitor/run_folder.h"

#include <algorithm>
#include <charconv>

#include "sluice/base/error.h"

namespace sluice::monitor {
namespace {

bool is_run_folder(const fs::path& folder) { return fs::exists(folder / "run.json") || fs::exists(folder / "metrics.jsonl"); }

std::uint64_t size_of_files(const fs::path& folder) {
  std::uint64_t total = 0;
  std::error_code gone;
  for (auto entry = fs::recursive_directory_iterator(folder, gone); !gone && entry != fs::end(entry); entry.increment(gone)) {
    std::error_code vanished;
    const std::uint64_t size = entry->is_regular_file(vanished) ? entry->file_size(vanished) : 0;
    if (!vanished) total += size;
  }
  return total;
}

}  // namespace

void check_run_folder(const fs::path& folder) {
  if (!fs::exists(folder)) throw Error(folder.string() + ": no such folder", "give the run folder: the --output-dir of `sluice train`");
  if (!fs::is_directory(folder)) throw Error(folder.string() + " is a file, not a run folder", "give the --output-dir of `sluice train`");
  if (is_run_folder(folder)) return;
  std::string remedy = "give the --output-dir of `sluice train`";
  if (const std::vector<fs::path> runs = list_runs(folder); !runs.empty())
    remedy += "; this folder holds runs: try " + runs.back().string();
  throw Error(folder.string() + " is not a run folder: it has neither run.json nor metrics.jsonl", remedy);
}

std::vector<CheckpointEntry> list_checkpoints(const fs::path& run_folder) {
  std::vector<CheckpointEntry> out;
  std::error_code gone;
  for (auto entry = fs::directory_iterator(run_folder / "checkpoints", gone); !gone && entry != fs::end(entry); entry.increment(gone)) {
    CheckpointEntry checkpoint;
    checkpoint.name = entry->path().filename().string();
    constexpr std::string_view kPrefix = "step-";
    const char* const end = checkpoint.name.data() + checkpoint.name.size();
    if (!checkpoint.name.starts_with(kPrefix)) continue;
    const auto [rest, failed] = std::from_chars(checkpoint.name.data() + kPrefix.size(), end, checkpoint.step);
    std::error_code vanished;
    if (failed != std::errc() || rest != end || !entry->is_directory(vanished)) continue;
    const fs::file_time_type written = entry->last_write_time(vanished);
    if (vanished) continue;
    checkpoint.written = std::chrono::file_clock::to_sys(written);
    checkpoint.size_bytes = size_of_files(entry->path());
    out.push_back(std::move(checkpoint));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return out;
}

EventFiles find_event_files(const fs::path& run_folder) {
  EventFiles out;
  std::error_code gone;
  for (auto entry = fs::directory_iterator(run_folder, gone); !gone && entry != fs::end(entry); entry.increment(gone)) {
    if (!entry->path().filename().string().starts_with("events.out.tfevents.")) continue;
    std::error_code vanished;
    const std::uint64_t size = entry->file_size(vanished);
    if (vanished) continue;
    ++out.count;
    out.size_bytes += size;
  }
  return out;
}

std::vector<std::string> last_log_lines(const fs::path& run_folder, int count) {
  constexpr std::int64_t kTailBytes = 64 << 10;
  std::ifstream in(run_folder / "log.txt", std::ios::binary | std::ios::ate);
  if (!in) return {};
  const std::int64_t size = in.tellg(), start = std::max<std::int64_t>(0, size - kTailBytes);
  std::string text(static_cast<std::size_t>(size - start), '\0');
  in.seekg(start);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  std::vector<std::string> lines;
  std::size_t begin = start == 0 ? 0 : std::min(text.find('\n'), text.size() - 1) + 1;  // the first line may be cut
  for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(text.substr(begin, end - begin));
  if (lines.size() > static_cast<std::size_t>(count)) lines.erase(lines.begin(), lines.end() - count);
  return lines;
}

std::vector<fs::path> list_runs(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && is_run_folder(entry.path())) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string shell_quoted(const std::string& text) {
  const bool plain = !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:@%,") ==
                                          std::string::npos;
  if (plain) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace sluice::monitor
