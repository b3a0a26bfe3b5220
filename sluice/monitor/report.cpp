#include "sluice/monitor/report.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <optional>

#include "sluice/monitor/before_after.h"
#include "sluice/monitor/chart.h"
#include "sluice/monitor/curves.h"
#include "sluice/monitor/heat_map.h"
#include "sluice/monitor/html.h"
#include "sluice/monitor/numbers.h"
#include "sluice/monitor/run_folder.h"
#include "sluice/monitor/run_info.h"
#include "sluice/monitor/samples.h"
#include "sluice/monitor/summary.h"
#include "sluice/monitor/utilization.h"

namespace sluice::monitor {
namespace {

// What the report is made of.
struct Run {
  fs::path folder;
  std::optional<RunInfo> info;
  std::vector<StepMetrics> steps;
  Summary summary;      // of the steps, with the evaluation of summary.json where there is one
  ExpertShares shares;  // of the evaluation, or else of the last logged steps
  std::string shares_source;
};

Run read_run(const fs::path& folder) {
  check_run_folder(folder);
  Run run;
  run.folder = folder;
  run.info = read_run_info(folder);
  run.steps = MetricsReader(folder).poll();
  run.summary = summarize(run.steps);
  if (const auto written = read_summary(folder)) run.summary.evaluation = written->evaluation;
  const auto& routing = run.summary.evaluation.routing;
  if (routing && !routing->expert_share.empty()) {
    run.shares = routing->expert_share;
    run.shares_source = "on the evaluation data";
  } else {
    run.shares = recent_expert_load(run.steps);
    run.shares_source = "in the last logged training steps";
  }
  return run;
}

std::string run_name(const fs::path& folder) { return fs::absolute(folder / "").lexically_normal().parent_path().filename().string(); }

std::string header(const Run& run) {
  std::string line;
  if (run.info) {
    const RunInfo& info = *run.info;
    const bool killed = info.state == RunState::kRunning && alive(info) == Alive::kNo;
    line = "<span class=\"state\">" + escape_html(killed ? "killed" : name(info.state)) + "</span>" + escape_html(info.model_name);
    if (info.num_layers > 0) {
      line += ", " + std::to_string(info.num_layers) + " MoE layers of " + std::to_string(info.num_experts) + " experts";
    }
    line += " &middot; started " + escape_html(info.started);
    if (!info.detail.empty()) line += " &middot; " + escape_html(info.detail);
  }
  return "<header><h1>" + escape_html(run_name(run.folder)) + "</h1><p class=\"soft\">" + line + "</p></header>\n";
}

std::string warnings_box(const ExpertShares& shares, const std::string& source) {
  constexpr std::size_t kShown = 8;
  const auto warnings = load_warnings(shares);
  if (warnings.empty()) return "";
  std::string out = "<div class=\"alert\" role=\"note\"><strong>Expert load is out of balance</strong> " + escape_html(source) + "\n<ul>";
  for (std::size_t at = 0; at < std::min(kShown, warnings.size()); ++at) {
    out += "<li>" + escape_html(describe(warnings[at], ShareLimits(shares[warnings[at].layer].size()))) + "</li>\n";
  }
  if (warnings.size() > kShown) out += "<li>and " + std::to_string(warnings.size() - kShown) + " more</li>\n";
  out += "</ul>";
  for (const Load load : {Load::kCollapsing, Load::kOverloaded}) {
    const bool any = std::any_of(warnings.begin(), warnings.end(), [&](const LoadWarning& warning) { return warning.load == load; });
    const char* const what = load == Load::kCollapsing ? "Against collapse: " : "Against imbalance: ";
    if (any) out += "<div>" + escape_html(what + remedy(load)) + "</div>\n";
  }
  return out + "</div>\n";
}

std::vector<Figure> key_figures(const Run& run) {
  const Summary& summary = run.summary;
  const Evaluation& evaluation = summary.evaluation;
  std::vector<Figure> out;
  const std::string of_total = run.info ? "of " + format_grouped(static_cast<double>(run.info->total_steps)) : "";
  out.push_back({format_grouped(static_cast<double>(summary.steps)), "steps", of_total});
  if (summary.final) out.push_back({format_fixed(summary.final->train.loss, 4), "training loss", "last step"});
  if (summary.final && summary.final->validation) {
    out.push_back({format_fixed(summary.final->validation->loss, 4), "validation loss",
                   "best " + format_fixed(summary.best->validation ? summary.best->validation->loss : std::nan(""), 4) + " at step " +
                       format_grouped(static_cast<double>(summary.best->step))});
  }
  const auto add = [&](const std::optional<double>& value, const char* label, const char* remark, auto format) {
    if (value) out.push_back({format(*value), label, remark});
  };
  const auto four_digits = [](double value) { return format_short(value); };
  add(evaluation.perplexity, "perplexity", "held-out answers", four_digits);
  add(evaluation.exact_match, "exact match", "held-out answers", format_percent);
  add(evaluation.rouge_l, "ROUGE-L", "held-out answers", four_digits);
  if (evaluation.routing) {
    add(evaluation.routing->accuracy, "routing accuracy", "label read from the router", format_percent);
    add(evaluation.routing->mutual_information_nats, "label-expert information", "nats", four_digits);
    add(evaluation.routing->kl, "KL to target", "nats", four_digits);
  }
  add(summary.dropped_share, "dropped", "token slots beyond capacity", format_percent);
  out.push_back({format_short(static_cast<double>(summary.tokens)), "tokens", format_grouped(static_cast<double>(summary.tokens))});
  if (!run.steps.empty()) {
    out.push_back({format_grouped(typical_tokens_per_second(run.steps)), "tokens/s", "median step"});
    out.push_back({format_duration(summary.seconds), "time in steps", ""});
  }
  return out;
}

std::string curves(const Run& run) {
  const auto& steps = run.steps;
  const auto training = [&](double Losses::*loss) { return loss_points(steps, loss, Figures::kTraining); };
  const auto validation = [&](double Losses::*loss) { return loss_points(steps, loss, Figures::kValidation); };
  const std::string band = steps.size() > 240 ? "means of neighbouring steps, with their range" : "";
  std::string out = html_chart({.title = "Loss",
                                .remark = band,
                                .width = Width::kFull,
                                .series = {{"total", training(&Losses::loss), 0, Mark::kLine},
                                           {"language model", training(&Losses::lm_loss), 1, Mark::kLine},
                                           {"validation total", validation(&Losses::loss), 2, Mark::kDots},
                                           {"validation language model", validation(&Losses::lm_loss), 4, Mark::kDots}}});
  const auto add_loss = [&](const char* title, const char* remark, double Losses::*loss, std::size_t color) {
    if (!is_used(training(loss))) return;
    out += html_chart({.title = title,
                       .remark = remark,
                       .series = {{"training", training(loss), color, Mark::kLine}, {"validation", validation(loss), 2, Mark::kDots}}});
  };
  add_loss("Routing supervision loss", "weighted", &Losses::routing_supervision_loss, 3);
  add_loss("Load-balance loss", "weighted", &Losses::aux_loss, 5);
  add_loss("Router z-loss", "weighted", &Losses::z_loss, 6);
  if (const auto dropped = dropped_points(steps); !dropped.empty()) {
    out += html_chart({.title = "Dropped token slots",
                       .remark = "share beyond the experts' capacity",
                       .baseline = Baseline::kZero,
                       .series = {{"dropped", dropped, 5, Mark::kLine}}});
  }
  out += html_chart({.title = "Learning rate",
                     .baseline = Baseline::kZero,
                     .series = {{"learning rate", step_points(steps, &StepMetrics::learning_rate), 0, Mark::kLine}}});
  out += html_chart({.title = "Gradient norm",
                     .remark = "before clipping",
                     .baseline = Baseline::kZero,
                     .series = {{"norm", step_points(steps, &StepMetrics::grad_norm), 7, Mark::kLine}}});
  out += html_chart({.title = "Speed",
                     .baseline = Baseline::kZero,
                     .series = {{"tokens/s", step_points(steps, &StepMetrics::tokens_per_second), 2, Mark::kLine}}});
  return out.empty() ? "" : "<div class=\"charts\">\n" + out + "</div>\n";
}

std::vector<std::string> numbered(const std::string& what, std::size_t count) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < count; ++at) out.push_back(what + " " + std::to_string(at));
  return out;
}

std::string utilization_table(const ExpertShares& shares) {
  Table table{{"layer", "smallest share", "expert", "largest share", "expert", "effective experts", "finding"},
              {Column::kText, Column::kNumber, Column::kNumber, Column::kNumber, Column::kNumber, Column::kNumber, Column::kText},
              {},
              {}};
  for (std::size_t layer = 0; layer < shares.size(); ++layer) {
    const std::vector<double>& row = shares[layer];
    if (row.empty()) continue;
    const auto [smallest, largest] = std::minmax_element(row.begin(), row.end());
    const ShareLimits limits(row.size());
    std::string finding;
    if (load_of(*smallest, limits) == Load::kCollapsing) finding = "▼ collapse: under " + format_percent(limits.low);
    if (load_of(*largest, limits) == Load::kOverloaded)
      finding += (finding.empty() ? "" : "; ") + std::string("▲ imbalance: over ") + format_percent(limits.high);
    table.rows.push_back({"layer " + std::to_string(layer), format_percent(*smallest), std::to_string(smallest - row.begin()),
                          format_percent(*largest), std::to_string(largest - row.begin()),
                          format_fixed(effective_experts(row), 2) + " of " + std::to_string(row.size()),
                          finding.empty() ? "balanced" : finding});
  }
  return table.rows.empty() ? "" : "<div class=\"card\"><h3>Utilisation</h3>\n" + html_table(table) + "</div>\n";
}

std::string experts(const Run& run) {
  std::string out;
  if (!run.shares.empty() && !run.shares.front().empty()) {
    const std::size_t experts = run.shares.front().size();
    const ShareLimits limits(experts);
    std::string remark = run.shares_source + "; per cent of a layer's tokens, even is " +
                         format_percent(1.0 / static_cast<double>(experts)) + ", ▼ under " + format_percent(limits.low);
    if (std::isfinite(limits.high)) remark += ", ▲ over " + format_percent(limits.high);
    out += html_heat_map({.title = "Load by layer and expert",
                          .remark = remark,
                          .row_name = "layer",
                          .column_name = "expert",
                          .row_labels = numbered("layer", run.shares.size()),
                          .values = run.shares});
    out += utilization_table(run.shares);
  }
  const auto& routing = run.summary.evaluation.routing;
  if (routing && !routing->label_expert.empty()) {
    std::vector<std::string> labels = run.info ? run.info->categories : std::vector<std::string>{};
    if (labels.size() != routing->label_expert.size()) labels = numbered("label", routing->label_expert.size());
    out += html_heat_map({.title = "Where each label's tokens go",
                          .remark = "per cent of a label's token slots by expert, mean over supervised layers",
                          .row_name = "label",
                          .column_name = "expert",
                          .row_labels = labels,
                          .values = routing->label_expert,
                          .shading = Shading::kAmount});
  }
  return out;
}

std::string sample_answers(const fs::path& folder) {
  const auto samples = read_samples(folder);
  if (samples.empty()) return "";
  using Text = std::string SampleAnswer::*;
  std::vector<std::pair<const char*, Text>> columns{{"question", &SampleAnswer::question}, {"answer", &SampleAnswer::answer}};
  for (const auto& column : {std::pair<const char*, Text>{"expected", &SampleAnswer::expected}, {"label", &SampleAnswer::expert_label},
                             {"label read from the router", &SampleAnswer::routed_label}}) {
    const bool any = std::any_of(samples.begin(), samples.end(), [&](const SampleAnswer& sample) { return !(sample.*column.second).empty(); });
    if (any) columns.push_back(column);
  }
  Table table{{}, std::vector<Column>(columns.size(), Column::kText), {}, {}};
  for (const auto& [heading, text] : columns) table.header.emplace_back(heading);
  for (const SampleAnswer& sample : samples) {
    table.rows.emplace_back();
    for (const auto& [heading, text] : columns) table.rows.back().push_back(sample.*text);
  }
  return "<div class=\"card\">" + html_table(table) + "</div>\n";
}

std::string before_and_after(const Run& run) {
  const auto before = read_evaluation_before(run.folder);
  return before ? before_after_table(*before, run.summary.evaluation) : "";
}

std::string files(const fs::path& folder) {
  Table table{{"checkpoint", "step", "size", "written (UTC)"}, {Column::kText, Column::kNumber, Column::kNumber, Column::kText}, {}, {}};
  for (const CheckpointEntry& checkpoint : list_checkpoints(folder)) {
    const std::time_t written = std::chrono::system_clock::to_time_t(checkpoint.written);
    std::tm parts{};
    gmtime_r(&written, &parts);
    char time[32];
    std::strftime(time, sizeof time, "%Y-%m-%d %H:%M:%S", &parts);
    table.rows.push_back(
        {checkpoint.name, format_grouped(static_cast<double>(checkpoint.step)), format_bytes(checkpoint.size_bytes), time});
  }
  return table.rows.empty() ? "" : "<div class=\"card\">" + html_table(table) + "</div>\n";
}

std::string settings(const fs::path& folder) {
  if (!fs::exists(folder / "config.yaml")) return "";
  return "<details class=\"card\"><summary>config.yaml</summary><pre>" + escape_html(read_file(folder / "config.yaml")) +
         "</pre></details>\n";
}

}  // namespace

void write_report(const fs::path& run_folder) {
  const Run run = read_run(run_folder);
  const std::string version = run.info ? "Sluice " + run.info->version : "Sluice";
  const std::string body = header(run) + html_figures(key_figures(run)) + warnings_box(run.shares, run.shares_source) +
                           html_section("Curves", curves(run)) + html_section("Experts", experts(run)) +
                           html_section("Before and after", before_and_after(run)) + html_section("Sample answers", sample_answers(run_folder)) + html_section("Settings", settings(run_folder)) +
                           html_section("Checkpoints", files(run_folder)) + "<footer>Written by " + escape_html(version) + ".</footer>\n";
  write_file_atomic(run_folder / "report.html", html_page(run_name(run_folder) + " - Sluice report", body));
}

}  // namespace sluice::monitor
