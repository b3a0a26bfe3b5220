#include "sluice/monitor/summary.h"

#include <cmath>

#include "sluice/base/error.h"
#include "sluice/monitor/json_fields.h"

namespace sluice::monitor {
namespace {

constexpr const char* kFileName = "summary.json";
constexpr std::int64_t kSchemaVersion = 1;
constexpr const char* kRemedy = "remove the file; the run's other files are enough to go on";

OrderedJson to_json(const LossesAtStep& at) {
  OrderedJson out = {{"step", at.step}};
  out.update(monitor::to_json(at.train));
  if (at.validation) out["validation"] = monitor::to_json(*at.validation);
  return out;
}

std::optional<LossesAtStep> losses_at_step(const JsonFields& summary, const char* key, const std::string& where) {
  if (!summary.has(key)) return std::nullopt;
  const Json& value = summary.at(key);
  const JsonFields fields(value, where + ": " + key, kRemedy);
  LossesAtStep at{fields.integer("step"), losses_from_json(value, where + ": " + key), std::nullopt};
  if (fields.has("validation")) at.validation = losses_from_json(fields.at("validation"), where + ": " + key + ".validation");
  return at;
}

}  // namespace

Summary summarize(std::span<const StepMetrics> steps) {
  Summary summary;
  std::optional<Losses> validation;
  bool best_is_validated = false;
  double best_loss = 0, dropped = 0, may_drop = 0;  // tokens
  for (const StepMetrics& step : steps) {
    summary.tokens += step.tokens;
    summary.target_tokens += step.target_tokens;
    summary.seconds += step.seconds;
    summary.skipped_steps += step.skipped.has_value();
    summary.rollbacks += step.rolled_back_to.has_value();
    if (step.dropped_share) {
      dropped += *step.dropped_share * static_cast<double>(step.tokens);
      may_drop += static_cast<double>(step.tokens);
    }
    if (step.validation) validation = step.validation;
    const double loss = step.validation ? step.validation->loss : step.train.loss;
    const bool first_validated = step.validation && !best_is_validated;
    const bool comparable = step.validation.has_value() == best_is_validated;
    if (std::isfinite(loss) && (!summary.best || first_validated || (comparable && loss < best_loss))) {
      best_is_validated = step.validation.has_value();
      best_loss = loss;
      summary.best = LossesAtStep{step.step, step.train, step.validation};
    }
  }
  if (may_drop > 0) summary.dropped_share = dropped / may_drop;
  if (!steps.empty()) {
    summary.steps = steps.back().step;
    summary.final = LossesAtStep{steps.back().step, steps.back().train, validation};
  }
  return summary;
}

void write_summary(const fs::path& run_folder, const Summary& summary) {
  OrderedJson out = {{"schema_version", kSchemaVersion},
                     {"steps", summary.steps},
                     {"tokens", summary.tokens},
                     {"target_tokens", summary.target_tokens},
                     {"seconds", summary.seconds}};
  if (summary.dropped_share) out["dropped_share"] = *summary.dropped_share;
  if (summary.skipped_steps > 0) out["skipped_steps"] = summary.skipped_steps;
  if (summary.rollbacks > 0) out["rollbacks"] = summary.rollbacks;
  if (summary.final) out["final"] = to_json(*summary.final);
  if (summary.best) out["best"] = to_json(*summary.best);
  if (!summary.peak_memory_gb.empty()) out["peak_memory_gb"] = summary.peak_memory_gb;
  out.update(to_json(summary.evaluation));
  write_file_atomic(run_folder / kFileName, dump_json(out) + "\n");
}

std::optional<Summary> read_summary(const fs::path& run_folder) {
  const fs::path path = run_folder / kFileName;
  if (!fs::exists(path)) return std::nullopt;
  const std::string where = path.string();
  const Json value = parse_json(read_file(path), where);
  const JsonFields fields(value, where, kRemedy);
  if (const std::int64_t version = fields.integer("schema_version"); version != kSchemaVersion) {
    throw Error(
        where + ": schema_version " + std::to_string(version) + ", but this program reads version " + std::to_string(kSchemaVersion),
        "use the version of sluice that wrote the run");
  }
  Summary summary;
  summary.steps = fields.integer("steps");
  summary.tokens = fields.integer("tokens");
  summary.target_tokens = fields.integer("target_tokens");
  summary.seconds = fields.number("seconds");
  if (fields.has("dropped_share")) summary.dropped_share = fields.number("dropped_share");
  if (fields.has("skipped_steps")) summary.skipped_steps = fields.integer("skipped_steps");
  if (fields.has("rollbacks")) summary.rollbacks = fields.integer("rollbacks");
  summary.final = losses_at_step(fields, "final", where);
  summary.best = losses_at_step(fields, "best", where);
  if (fields.has("peak_memory_gb")) summary.peak_memory_gb = fields.numbers("peak_memory_gb");
  summary.evaluation = evaluation_from_json(value, where);
  return summary;
}

}  // namespace sluice::monitor
