#include "sluice/monitor/html.h"

#include <algorithm>
#include <utility>

namespace sluice::monitor {
namespace {

// c0..c7 colour series, cold and hot shade heat maps, warn marks what needs care. Each pair keeps a contrast of 4.5 with its background.
constexpr const char* kStyle = R"(
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b1f24; --soft: #59636e; --line: #dfe3e8; --warn: #a43e00; --warn-back: #fff3e8;
  --cold: #2f6fde; --hot: #e07a1f;
  --c0: #2563c9; --c1: #c2570c; --c2: #1f7a4d; --c3: #7a45c4; --c4: #b3264a; --c5: #0b7285; --c6: #8a6100; --c7: #4b5563; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0f1216; --card: #171b21; --ink: #e8ebef; --soft: #9aa5b1; --line: #2b323b; --warn: #ffb070; --warn-back: #2c1f14;
  --cold: #4f8dff; --hot: #ff9a3d;
  --c0: #6ea8ff; --c1: #ff9a57; --c2: #5cc98f; --c3: #b796ff; --c4: #ff7d9a; --c5: #4fc3d9; --c6: #e0b84c; --c7: #b3bcc7; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 12px; }
h3 { font-size: 15px; margin: 0 0 8px; }
p { margin: 6px 0 12px; }
.soft, figcaption small { color: var(--soft); }
.state { display: inline-block; padding: 1px 10px; border-radius: 999px; border: 1px solid currentColor; font-size: 13px; margin-right: 8px; }
.card, figure { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin: 0 0 16px; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; margin: 20px 0; }
.figures > div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.figures dt { color: var(--soft); font-size: 13px; }
.figures dd { margin: 0; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.3; }
.figures small { display: block; font-size: 12px; font-weight: 400; color: var(--soft); }
.alert { background: var(--warn-back); border: 1px solid var(--warn); border-radius: 10px; padding: 12px 16px; margin: 0 0 16px; }
.alert strong { color: var(--warn); }
.alert ul { margin: 6px 0; padding-left: 20px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 16px; }
.charts figure { margin: 0; min-width: 0; }
.charts .wide { grid-column: 1 / -1; overflow-x: auto; }
.charts .wide svg.chart { min-width: 680px; }
figcaption { font-weight: 600; margin-bottom: 6px; }
figcaption small { font-weight: 400; font-size: 13px; margin-left: 6px; }
.keys { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 13px; margin-bottom: 4px; color: var(--soft); }
.keys b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
.keys svg { width: 22px; height: 10px; margin-right: 5px; }
svg.chart { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .series { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
svg .band { stroke: none; opacity: .16; }
svg .dash { stroke-dasharray: 2 4; }
svg .dot { stroke: var(--card); stroke-width: 1; }
svg.heat { display: block; }
svg.heat text { fill: var(--ink); font-size: 12px; }
svg.heat .label { fill: var(--soft); }
svg.heat .back { fill: var(--card); stroke: var(--line); }
svg.heat .mark { fill: none; stroke: var(--warn); stroke-width: 2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); padding: 6px 18px 6px 0; vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); padding: 6px 18px 6px 0; vertical-align: top; overflow-wrap: break-word; }
tr:last-child td { border-bottom: 0; }
th.n, td.n { text-align: right; }
td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
td.best { font-weight: 700; color: var(--c2); }
pre { margin: 12px 0 0; overflow-x: auto; font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
summary { cursor: pointer; font-weight: 600; }
a { color: var(--c0); }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
)";

std::string css_colors() {
  std::string out;
  for (int color = 0; color < 8; ++color) {
    const std::string number = std::to_string(color);
    out += "svg .s" + number + " { stroke: var(--c" + number + "); } svg .f" + number + " { fill: var(--c" + number + "); }\n";
  }
  return out;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string html_page(const std::string& title, const std::string& body) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
         escape_html(title) + "</title>\n<style>" + kStyle + css_colors() + "</style>\n</head>\n<body>\n<main>\n" + body +
         "</main>\n</body>\n</html>\n";
}

std::string html_section(const std::string& heading, const std::string& body) {
  if (body.empty()) return "";
  return "<section>\n<h2>" + escape_html(heading) + "</h2>\n" + body + "</section>\n";
}

std::string html_figures(const std::vector<Figure>& figures) {
  std::string out = "<dl class=\"figures\">\n";
  for (const Figure& figure : figures) {
    out += "<div><dt>" + escape_html(figure.label) + "</dt><dd>" + escape_html(figure.value) +
           (figure.remark.empty() ? "" : "<small>" + escape_html(figure.remark) + "</small>") + "</dd></div>\n";
  }
  return out + "</dl>\n";
}

std::string html_table(const Table& table) {
  const auto align = [&](std::size_t column) { return table.columns.at(column) == Column::kNumber ? std::string("n") : std::string(); };
  std::string out = "<div class=\"scroll\"><table>\n<thead><tr>";
  for (std::size_t column = 0; column < table.header.size(); ++column) {
    out += "<th scope=\"col\" class=\"" + align(column) + "\">" + escape_html(table.header[column]) + "</th>";
  }
  out += "</tr></thead>\n<tbody>\n";
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    out += "<tr>";
    for (std::size_t column = 0; column < table.rows[row].size(); ++column) {
      const bool best = std::find(table.emphasized.begin(), table.emphasized.end(), std::pair(row, column)) != table.emphasized.end();
      out += "<td class=\"" + align(column) + (best ? " best" : "") + "\">" + escape_html(table.rows[row][column]) + "</td>";
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace sluice::monitor
