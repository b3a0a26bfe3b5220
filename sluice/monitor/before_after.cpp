#include "sluice/monitor/before_after.h"

#include "sluice/monitor/html.h"
#include "sluice/monitor/numbers.h"

namespace sluice::monitor {

std::string before_after_table(const Evaluation& before, const Evaluation& after) {
  Table table{{"on held-out rows", "before", "after", "change"}, {Column::kText, Column::kNumber, Column::kNumber, Column::kNumber}, {}, {}};
  const auto add = [&](const std::string& name, const std::optional<double>& was, const std::optional<double>& is) {
    if (!was || !is) return;
    const std::string change = format_fixed(*is - *was, 4);
    table.rows.push_back({name, format_fixed(*was, 4), format_fixed(*is, 4), *is > *was ? "+" + change : change});
  };
  add("loss", before.lm_loss, after.lm_loss);
  add("perplexity", before.perplexity, after.perplexity);
  add("exact match", before.exact_match, after.exact_match);
  add("ROUGE-L", before.rouge_l, after.rouge_l);
  for (std::size_t i = 0; i < before.turn_loss.size() && i < after.turn_loss.size(); ++i) {
    add("loss of answer " + std::to_string(i + 1), before.turn_loss[i], after.turn_loss[i]);
  }
  for (const auto& [name, loss] : before.category_loss) {
    if (const auto found = after.category_loss.find(name); found != after.category_loss.end()) add("loss of " + name, loss, found->second);
  }
  if (before.routing && after.routing) add("routing accuracy", before.routing->accuracy, after.routing->accuracy);
  return table.rows.empty() ? "" : "<div class=\"card\">" + html_table(table) + "</div>\n";
}

}  // namespace sluice::monitor
