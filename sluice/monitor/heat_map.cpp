#include "sluice/monitor/heat_map.h"

#include <algorithm>
#include <cmath>

#include "sluice/monitor/html.h"
#include "sluice/monitor/numbers.h"
#include "sluice/monitor/utilization.h"

namespace sluice::monitor {
namespace {

constexpr std::size_t kMaxNumberedColumns = 64;
constexpr double kGlyphWidth = 7.2, kHeaderHeight = 24;

std::string attribute(const char* name, double value) { return std::string(" ") + name + "=\"" + format_fixed(value, 1) + "\""; }

struct Layout {
  double left, cell_width, cell_height;
  bool numbered;
};

// Strength of a cell's colour in [0, 0.8]: text stays readable over it in both schemes.
double opacity(double share, std::size_t columns, double largest, Shading shading) {
  if (!(share >= 0)) return 0;
  if (shading == Shading::kAmount) return largest > 0 ? 0.7 * share / largest : 0;
  const double doublings = share > 0 ? std::abs(std::log2(share * static_cast<double>(columns))) : 3;
  return 0.7 * std::min(1.0, doublings / 1.5);
}

std::string cell(const HeatMap& map, std::size_t row, std::size_t column, double largest, const Layout& layout) {
  const std::vector<double>& shares = map.values[row];
  const double share = shares[column];
  const double x = layout.left + static_cast<double>(column) * layout.cell_width;
  const double y = kHeaderHeight + static_cast<double>(row) * layout.cell_height;
  const std::string box =
      attribute("x", x) + attribute("y", y) + attribute("width", layout.cell_width) + attribute("height", layout.cell_height);
  const bool high = map.shading == Shading::kAmount || share * static_cast<double>(shares.size()) > 1;
  const Load load = map.shading == Shading::kBalance ? load_of(share, ShareLimits(shares.size())) : Load::kEven;
  const std::string mark = load == Load::kEven ? "" : load == Load::kCollapsing ? "▼ " : "▲ ";
  const char* const color = map.shading == Shading::kAmount ? "var(--c0)" : high ? "var(--hot)" : "var(--cold)";
  std::string out = "<g><title>" + escape_html(map.row_labels[row] + ", " + map.column_name + " " + std::to_string(column) + ": ") +
                    format_percent(share) + "</title><rect class=\"back\"" + box + "/><rect" + box + " style=\"fill:" + color +
                    "\" fill-opacity=\"" + format_fixed(opacity(share, shares.size(), largest, map.shading), 2) + "\"/>";
  if (load != Load::kEven) {
    out += "<rect class=\"mark\"" + attribute("x", x + 1.5) + attribute("y", y + 1.5) + attribute("width", layout.cell_width - 3) +
           attribute("height", layout.cell_height - 3) + "/>";
  }
  if (layout.numbered) {
    out += "<text text-anchor=\"middle\"" + attribute("x", x + layout.cell_width / 2) + attribute("y", y + layout.cell_height / 2 + 4.2) +
           ">" + mark + format_fixed(100 * share, 1) + "</text>";
  }
  return out + "</g>\n";
}

}  // namespace

std::string html_heat_map(const HeatMap& map) {
  std::size_t columns = 0, longest_label = 0;
  double largest = 0;
  for (const auto& row : map.values) {
    columns = std::max(columns, row.size());
    for (const double value : row) largest = std::max(largest, std::isfinite(value) ? value : 0.0);
  }
  for (const std::string& label : map.row_labels) longest_label = std::max(longest_label, label.size());
  if (columns == 0) return "";
  const bool numbered = columns <= kMaxNumberedColumns;
  const Layout layout{16 + kGlyphWidth * static_cast<double>(longest_label), numbered ? (columns <= 12 ? 76.0 : 52.0) : 14.0,
                      numbered ? 32.0 : 14.0, numbered};
  const double width = layout.left + layout.cell_width * static_cast<double>(columns) + 2;
  const double height = kHeaderHeight + layout.cell_height * static_cast<double>(map.values.size()) + 2;
  std::string body;
  for (std::size_t column = 0; column < columns; ++column) {
    if (!numbered && column % 8 != 0) continue;
    body += "<text class=\"label\" text-anchor=\"middle\"" +
            attribute("x", layout.left + (static_cast<double>(column) + 0.5) * layout.cell_width) + attribute("y", kHeaderHeight - 8) +
            ">" + std::to_string(column) + "</text>\n";
  }
  for (std::size_t row = 0; row < map.values.size(); ++row) {
    body += "<text class=\"label\" text-anchor=\"end\"" + attribute("x", layout.left - 8) +
            attribute("y", kHeaderHeight + (static_cast<double>(row) + 0.5) * layout.cell_height + 4.2) + ">" +
            escape_html(map.row_labels[row]) + "</text>\n";
    for (std::size_t column = 0; column < map.values[row].size(); ++column) body += cell(map, row, column, largest, layout);
  }
  const std::string size = attribute("width", width) + attribute("height", height);
  return "<figure><figcaption>" + escape_html(map.title) + (map.remark.empty() ? "" : "<small>" + escape_html(map.remark) + "</small>") +
         "</figcaption>\n<div class=\"scroll\"><svg class=\"heat\" role=\"img\"" + size + " aria-label=\"" +
         escape_html(map.title + ": " + map.row_name + " by " + map.column_name + ", per cent") + "\">\n" + body +
         "</svg></div></figure>\n";
}

}  // namespace sluice::monitor
