#include "sluice/monitor/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/monitor/json_fields.h"

namespace sluice::monitor {
namespace {

constexpr const char* kFileName = "metrics.jsonl";
constexpr const char* kRemedy = "remove that line, or resume the run: resuming drops the lines past its checkpoint";

// The bytes up to and including the last line end; the rest is a line still being written, or cut by a kill.
std::string_view whole_lines(std::string_view text) { return text.substr(0, text.rfind('\n') + 1); }

std::string read_from(const FileDescriptor& file, off_t offset) {
  std::string text;
  char chunk[1 << 16];
  ssize_t got = 0;
  while ((got = pread(file.get(), chunk, sizeof chunk, offset + static_cast<off_t>(text.size()))) > 0) {
    text.append(chunk, static_cast<std::size_t>(got));
  }
  return text;
}

// The step of a line that can be read as a whole; nothing for any other line.
std::optional<std::int64_t> step_of_line(std::string_view line) {
  try {
    return step_metrics_from_json(parse_json(line, kFileName), kFileName).step;
  } catch (const Error&) {
    return std::nullopt;  // the caller counts these
  }
}

// Calls `use` with each line, and its number, of a text that ends with a line end.
template <class Use>
void for_each_line(std::string_view text, std::int64_t number, Use use) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    use(text.substr(0, end), ++number);
    text.remove_prefix(end + 1);
  }
}

}  // namespace

OrderedJson to_json(const Losses& losses) {
  OrderedJson out{{"loss", losses.loss},
                  {"lm_loss", losses.lm_loss},
                  {"aux_loss", losses.aux_loss},
                  {"z_loss", losses.z_loss},
                  {"routing_supervision_loss", losses.routing_supervision_loss}};
  if (losses.mtp_loss) out["mtp_loss"] = *losses.mtp_loss;
  return out;
}

OrderedJson to_json(const StepMetrics& metrics) {
  OrderedJson row = {{"step", metrics.step}};
  row.update(to_json(metrics.train));
  row["learning_rate"] = metrics.learning_rate;
  row["grad_norm"] = metrics.grad_norm;
  row["tokens"] = metrics.tokens;
  row["target_tokens"] = metrics.target_tokens;
  row["seconds"] = metrics.seconds;
  row["tokens_per_second"] = metrics.tokens_per_second;
  if (metrics.dropped_share) row["dropped_share"] = *metrics.dropped_share;
  if (metrics.expert_load) row["expert_load"] = *metrics.expert_load;
  if (metrics.validation) row["validation"] = to_json(*metrics.validation);
  if (metrics.skipped) row["skipped"] = *metrics.skipped;
  if (metrics.rolled_back_to) row["rolled_back_to"] = *metrics.rolled_back_to;
  return row;
}

Losses losses_from_json(const Json& value, const std::string& where) {
  const JsonFields fields(value, where, kRemedy);
  return {fields.number("loss"), fields.number("lm_loss"), fields.number("aux_loss"), fields.number("z_loss"),
          fields.number("routing_supervision_loss"), fields.has("mtp_loss") ? std::optional(fields.number("mtp_loss")) : std::nullopt};
}

StepMetrics step_metrics_from_json(const Json& value, const std::string& where) {
  const JsonFields fields(value, where, kRemedy);
  StepMetrics metrics;
  metrics.step = fields.integer("step");
  metrics.train = losses_from_json(value, where);
  metrics.learning_rate = fields.number("learning_rate");
  metrics.grad_norm = fields.number("grad_norm");
  metrics.tokens = fields.integer("tokens");
  metrics.target_tokens = fields.integer("target_tokens");
  metrics.seconds = fields.number("seconds");
  metrics.tokens_per_second = fields.number("tokens_per_second");
  if (fields.has("dropped_share")) metrics.dropped_share = fields.number("dropped_share");
  if (fields.has("expert_load")) metrics.expert_load = fields.matrix("expert_load");
  if (fields.has("validation")) metrics.validation = losses_from_json(fields.at("validation"), where);
  if (fields.has("skipped")) metrics.skipped = fields.text("skipped");
  if (fields.has("rolled_back_to")) metrics.rolled_back_to = fields.integer("rolled_back_to");
  return metrics;
}

MetricsWriter::MetricsWriter(const fs::path& run_folder) : path_(run_folder / kFileName) {
  if (fs::exists(path_)) fs::resize_file(path_, whole_lines(read_file(path_)).size());
  file_.emplace(path_, O_WRONLY | O_CREAT | O_APPEND);
}

void MetricsWriter::write(const StepMetrics& metrics) { file_->write_all(dump_json(to_json(metrics)) + "\n"); }

std::int64_t MetricsWriter::truncate_after(std::int64_t step) {
  const std::string text = read_file(path_);
  std::string kept;
  std::int64_t broken = 0;
  for_each_line(whole_lines(text), 0, [&](std::string_view line, std::int64_t) {
    const auto number = step_of_line(line);
    broken += !number;
    if (number && *number <= step) kept.append(line).push_back('\n');
  });
  if (kept.size() == text.size()) return 0;
  write_file_atomic(path_, kept);
  file_.emplace(path_, O_WRONLY | O_CREAT | O_APPEND);  // the old descriptor belongs to the file that was replaced
  return broken;
}

MetricsReader::MetricsReader(const fs::path& run_folder, BadLines bad_lines) : path_(run_folder / kFileName), bad_lines_(bad_lines) {}

void MetricsReader::read_line(std::string_view line, std::int64_t number) {
  const std::string where = path_.string() + ":" + std::to_string(number);
  try {
    steps_.push_back(step_metrics_from_json(parse_json(line, where), where));
  } catch (const Error&) {
    if (bad_lines_ == BadLines::kRefuse) throw;
    ++skipped_;
  }
}

const std::vector<StepMetrics>& MetricsReader::poll() {
  if (!fs::exists(path_)) return steps_;
  const FileDescriptor file(path_, O_RDONLY);
  struct stat info {};
  SLUICE_CHECK(fstat(file.get(), &info) == 0, "fstat of an open file");
  if (info.st_ino != inode_ || info.st_size < offset_) {
    inode_ = info.st_ino;
    offset_ = lines_ = skipped_ = 0;
    steps_.clear();
  }
  const std::string text = read_from(file, offset_);
  const std::string_view whole = whole_lines(text);
  for_each_line(whole, lines_, [&](std::string_view line, std::int64_t number) {
    read_line(line, number);
    lines_ = number;
    offset_ += static_cast<std::int64_t>(line.size()) + 1;
  });
  return steps_;
}

ExpertShares recent_expert_load(std::span<const StepMetrics> steps, int count) {
  ExpertShares sum;
  int used = 0;
  for (auto step = steps.rbegin(); step != steps.rend() && used < count; ++step) {
    if (!step->expert_load) continue;
    if (used++ == 0) {
      sum = *step->expert_load;
      continue;
    }
    const ExpertShares& load = *step->expert_load;
    if (load.size() != sum.size()) break;
    for (std::size_t layer = 0; layer < sum.size(); ++layer) {
      const std::size_t experts = std::min(sum[layer].size(), load[layer].size());
      for (std::size_t expert = 0; expert < experts; ++expert) sum[layer][expert] += load[layer][expert];
    }
  }
  for (auto& layer : sum) {
    for (double& share : layer) share /= used;
  }
  return sum;
}

}  // namespace sluice::monitor
