#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "sluice/base/error.h"
#include "sluice/config/recipe.h"
#include "sluice/monitor/chart.h"
#include "sluice/monitor/curves.h"
#include "sluice/monitor/html.h"
#include "sluice/monitor/numbers.h"
#include "sluice/monitor/report.h"
#include "sluice/monitor/run_folder.h"
#include "sluice/monitor/run_info.h"
#include "sluice/monitor/summary.h"
#include "sluice/monitor/utilization.h"

namespace sluice::monitor {
namespace {

// One run of the sweep. Figures that were not measured are absent.
struct Run {
  std::string name, state;
  std::vector<StepMetrics> steps;
  Summary summary;
  std::map<std::string, std::string> settings;  // of config.yaml, flat
  std::vector<std::optional<double>> figures;   // in the order of kFigures
};

enum class Better { kLower, kHigher, kNeither };
struct FigureKind {
  const char* name;
  Better better;
  std::string (*format)(double);
};

std::string four_decimals(double value) { return format_fixed(value, 4); }

constexpr FigureKind kFigures[] = {{"training loss", Better::kLower, four_decimals},
                                   {"language model", Better::kLower, four_decimals},
                                   {"best validation", Better::kLower, four_decimals},
                                   {"perplexity", Better::kLower, format_short},
                                   {"exact match", Better::kHigher, format_percent},
                                   {"routing accuracy", Better::kHigher, format_percent},
                                   {"information, nats", Better::kHigher, format_short},
                                   {"smallest expert share", Better::kHigher, format_percent},
                                   {"largest expert share", Better::kLower, format_percent},
                                   {"dropped", Better::kLower, format_percent},
                                   {"tokens/s", Better::kHigher, format_grouped},
                                   {"time", Better::kNeither, format_duration}};

// In the order of kFigures.
std::vector<std::optional<double>> figures_of(const Run& run) {
  const Summary& summary = run.summary;
  const Evaluation& evaluation = summary.evaluation;
  std::vector<std::optional<double>> out(2);
  if (summary.final) out = {summary.final->train.loss, summary.final->train.lm_loss};
  const bool validated = summary.best && summary.best->validation;
  out.push_back(validated ? std::optional(summary.best->validation->loss) : std::nullopt);
  out.push_back(evaluation.perplexity);
  out.push_back(evaluation.exact_match);
  const RoutingFigures routing = evaluation.routing.value_or(RoutingFigures{});
  out.push_back(routing.accuracy);
  out.push_back(routing.mutual_information_nats);
  const ExpertShares shares = routing.expert_share.empty() ? recent_expert_load(run.steps) : routing.expert_share;
  std::vector<double> all;
  for (const auto& layer : shares) all.insert(all.end(), layer.begin(), layer.end());
  out.push_back(all.empty() ? std::nullopt : std::optional(*std::min_element(all.begin(), all.end())));
  out.push_back(all.empty() ? std::nullopt : std::optional(*std::max_element(all.begin(), all.end())));
  out.push_back(summary.dropped_share);
  out.push_back(run.steps.empty() ? std::nullopt : std::optional(typical_tokens_per_second(run.steps)));
  out.push_back(run.steps.empty() ? std::nullopt : std::optional(summary.seconds));
  return out;
}

Run read_run(const fs::path& folder) {
  Run run;
  run.name = folder.filename().string();
  if (const auto info = read_run_info(folder)) run.state = name(info->state);
  run.steps = MetricsReader(folder).poll();
  run.summary = summarize(run.steps);
  if (const auto written = read_summary(folder)) run.summary.evaluation = written->evaluation;
  if (fs::exists(folder / "config.yaml")) {
    for (const config::Setting& setting : config::load_recipe(folder / "config.yaml", {})) {
      run.settings[setting.key] = setting.value.is_null   ? "null"
                                  : setting.value.is_list ? config::format(setting.value.items)
                                                          : setting.value.items.at(0);
    }
  }
  run.figures = figures_of(run);
  return run;
}

// The settings that are not the same in all runs; the run's own folder, which always differs, is left out.
std::vector<std::string> differing_settings(const std::vector<Run>& runs) {
  std::map<std::string, std::set<std::string>> values;
  std::map<std::string, std::size_t> count;
  for (const Run& run : runs) {
    for (const auto& [key, value] : run.settings) {
      values[key].insert(value);
      ++count[key];
    }
  }
  std::vector<std::string> out;
  for (const auto& [key, seen] : values) {
    const bool same = seen.size() == 1 && count[key] == runs.size();
    const bool is_folder = std::all_of(runs.begin(), runs.end(), [&, k = key](const Run& run) {
      const auto found = run.settings.find(k);
      return found != run.settings.end() && fs::path(found->second).filename() == run.name;
    });
    if (!same && !is_folder) out.push_back(key);
  }
  return out;
}

// The runs whose figure is best; none where all are equal or fewer than two have it.
std::vector<std::size_t> best_runs(const std::vector<Run>& runs, std::size_t figure, Better better) {
  if (better == Better::kNeither) return {};
  std::vector<double> known;
  for (const Run& run : runs) {
    if (run.figures[figure] && std::isfinite(*run.figures[figure])) known.push_back(*run.figures[figure]);
  }
  if (known.size() < 2) return {};
  const auto [lowest, highest] = std::minmax_element(known.begin(), known.end());
  if (*lowest == *highest) return {};
  std::vector<std::size_t> out;
  for (std::size_t run = 0; run < runs.size(); ++run) {
    if (runs[run].figures[figure] == (better == Better::kLower ? *lowest : *highest)) out.push_back(run);
  }
  return out;
}

// A row a setting or figure, a column a run: sweeps have few runs and many figures.
std::string figures_table(const std::vector<Run>& runs, const std::vector<std::string>& differing) {
  Table table{{""}, {Column::kText}, {{"state"}}, {}};
  for (const Run& run : runs) {
    table.header.push_back(run.name);
    table.columns.push_back(Column::kNumber);
    table.rows[0].push_back(run.state);
  }
  for (const std::string& key : differing) {
    table.rows.push_back({key});
    for (const Run& run : runs) {
      const auto found = run.settings.find(key);
      table.rows.back().push_back(found == run.settings.end() ? "" : found->second);
    }
  }
  for (std::size_t at = 0; at < std::size(kFigures); ++at) {
    const FigureKind& figure = kFigures[at];
    if (std::none_of(runs.begin(), runs.end(), [&](const Run& run) { return run.figures[at].has_value(); })) continue;
    for (const std::size_t run : best_runs(runs, at, figure.better)) table.emphasized.emplace_back(table.rows.size(), run + 1);
    table.rows.push_back({figure.name});
    for (const Run& run : runs) table.rows.back().push_back(run.figures[at] ? figure.format(*run.figures[at]) : "");
  }
  return "<div class=\"card\">" + html_table(table) +
         "<p class=\"soft\">Green: the best of a row. Losses include their weighted auxiliary terms; compare runs of different weights by "
         "language model loss.</p></div>\n";
}

std::string overlaid(const std::vector<Run>& runs, const char* title, double Losses::*loss, Figures figures, Width width) {
  Chart chart{.title = title, .width = width};
  bool used = false;
  for (std::size_t at = 0; at < runs.size(); ++at) {
    const Mark mark = figures == Figures::kValidation ? Mark::kDots : Mark::kLine;
    chart.series.push_back({runs[at].name, loss_points(runs[at].steps, loss, figures), at, mark});
    used = used || is_used(chart.series.back().points);
  }
  return used ? html_chart(chart) : "";
}

std::string curves(const std::vector<Run>& runs) {
  std::string out =
      overlaid(runs, "Language model loss", &Losses::lm_loss, Figures::kTraining, Width::kFull) +
      overlaid(runs, "Validation language model loss", &Losses::lm_loss, Figures::kValidation, Width::kHalf) +
      overlaid(runs, "Routing supervision loss, weighted", &Losses::routing_supervision_loss, Figures::kTraining, Width::kHalf) +
      overlaid(runs, "Load-balance loss, weighted", &Losses::aux_loss, Figures::kTraining, Width::kHalf) +
      overlaid(runs, "Total loss", &Losses::loss, Figures::kTraining, Width::kHalf);
  return out.empty() ? "" : "<div class=\"charts\">\n" + out + "</div>\n";
}

// A run that failed before it had a folder has a column all the same.
void mark_failed(std::vector<Run>& runs, const std::vector<FailedRun>& failed) {
  for (const FailedRun& failure : failed) {
    auto run = std::find_if(runs.begin(), runs.end(), [&](const Run& known) { return known.name == failure.name; });
    if (run == runs.end()) {
      run = runs.emplace(runs.end());
      run->name = failure.name;
      run->figures = figures_of(*run);
    }
    run->state = "failed";
  }
}

std::string failures(const std::vector<FailedRun>& failed) {
  if (failed.empty()) return "";
  Table table{{"run", "what is wrong"}, {Column::kText, Column::kText}, {}, {}};
  for (const FailedRun& failure : failed) table.rows.push_back({failure.name, failure.problem});
  return html_section("Failed", "<div class=\"card\">" + html_table(table) + "</div>\n");
}

std::string links(const std::vector<fs::path>& folders) {
  std::string out;
  for (const fs::path& folder : folders) {
    if (!fs::exists(folder / "report.html")) continue;
    const std::string name = escape_html(folder.filename().string());
    out += (out.empty() ? "" : " &middot; ") + ("<a href=\"" + name + "/report.html\">" + name + "</a>");
  }
  return out.empty() ? "" : "<p>Reports: " + out + "</p>\n";
}

}  // namespace

void write_comparison(const fs::path& sweep_folder, const std::vector<FailedRun>& failed) {
  if (!fs::is_directory(sweep_folder)) throw Error(sweep_folder.string() + ": no such folder", "give the --output-dir of a sweep");
  const std::vector<fs::path> folders = list_runs(sweep_folder);
  if (folders.empty() && failed.empty()) throw Error(sweep_folder.string() + " holds no run folder", "give the --output-dir of a sweep");
  std::vector<Run> runs;
  for (const fs::path& folder : folders) runs.push_back(read_run(folder));
  mark_failed(runs, failed);
  const std::string title = fs::absolute(sweep_folder / "").lexically_normal().parent_path().filename().string();
  const std::string body =
      "<header><h1>" + escape_html(title) + "</h1><p class=\"soft\">" + std::to_string(runs.size()) + " runs compared</p></header>\n" +
      html_section("Figures", figures_table(runs, differing_settings(runs)) + links(folders)) + failures(failed) +
      html_section("Curves", curves(runs));
  write_file_atomic(sweep_folder / "comparison.html", html_page(title + " - Sluice comparison", body));
}

}  // namespace sluice::monitor
