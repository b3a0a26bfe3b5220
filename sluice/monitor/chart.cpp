#include "sluice/monitor/chart.h"

#include <algorithm>
#include <cmath>

#include "sluice/monitor/html.h"
#include "sluice/monitor/numbers.h"

namespace sluice::monitor {
namespace {

constexpr double kLeft = 58, kRight = 12, kTop = 8, kBottom = 34;
constexpr std::size_t kMaxDrawnPoints = 240;

std::string coordinate(double value) { return format_fixed(value, 1); }

std::string color_class(const char* kind, std::size_t color) { return kind + std::to_string(color % 8); }

// The rectangle of the data and where it lies in the picture.
struct Frame {
  double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
  double width = 520, height = 250;
  bool empty() const { return x_low > x_high; }
  double x(double value) const { return kLeft + (value - x_low) / (x_high - x_low) * (width - kLeft - kRight); }
  double y(double value) const { return height - kBottom - (value - y_low) / (y_high - y_low) * (height - kTop - kBottom); }
};

Frame frame_of(const Chart& chart) {
  Frame frame;
  if (chart.width == Width::kFull) {
    frame.width = 1060;
    frame.height = 320;
  }
  for (const Series& series : chart.series) {
    for (const Point& point : series.points) {
      if (!std::isfinite(point.y)) continue;
      frame.x_low = std::min(frame.x_low, point.x);
      frame.x_high = std::max(frame.x_high, point.x);
      frame.y_low = std::min(frame.y_low, point.y);
      frame.y_high = std::max(frame.y_high, point.y);
    }
  }
  if (frame.empty()) return frame;
  if (chart.baseline == Baseline::kZero) {
    frame.y_low = std::min(0.0, frame.y_low);
    frame.y_high = std::max(0.0, frame.y_high);
  }
  if (frame.x_low == frame.x_high) {
    frame.x_low -= 1;
    frame.x_high += 1;
  }
  const double room = frame.y_high > frame.y_low ? 0.05 * (frame.y_high - frame.y_low) : std::max(1e-12, 0.1 * std::abs(frame.y_high));
  if (chart.baseline == Baseline::kData) frame.y_low -= room;
  frame.y_high += room;
  return frame;
}

// Neighbouring points as one: their mean and their range.
struct Drawn {
  double x, mean, low, high;
};

// Runs of points without a gap, each thinned to what the picture can show.
std::vector<std::vector<Drawn>> thinned(const std::vector<Point>& points) {
  const std::size_t group = (points.size() + kMaxDrawnPoints - 1) / kMaxDrawnPoints;
  std::vector<std::vector<Drawn>> runs;
  bool gap = true;
  for (std::size_t begin = 0; begin < points.size(); begin += group) {
    Drawn drawn{0, 0, INFINITY, -INFINITY};
    double count = 0;
    for (std::size_t at = begin; at < std::min(begin + group, points.size()); ++at) {
      if (!std::isfinite(points[at].y)) continue;
      drawn.x += points[at].x;
      drawn.mean += points[at].y;
      drawn.low = std::min(drawn.low, points[at].y);
      drawn.high = std::max(drawn.high, points[at].y);
      ++count;
    }
    if (count == 0) {
      gap = true;
      continue;
    }
    if (gap) runs.emplace_back();
    gap = false;
    runs.back().push_back({drawn.x / count, drawn.mean / count, drawn.low, drawn.high});
  }
  return runs;
}

std::string svg_line(const Series& series, const Frame& frame) {
  std::string out;
  for (const auto& run : thinned(series.points)) {
    std::string line, upper, lower;
    for (const Drawn& point : run) {
      const std::string x = coordinate(frame.x(point.x));
      line += (line.empty() ? "M" : "L") + x + " " + coordinate(frame.y(point.mean));
      upper += (upper.empty() ? "M" : "L") + x + " " + coordinate(frame.y(point.high));
      lower.insert(0, "L" + x + " " + coordinate(frame.y(point.low)));
    }
    if (run.size() == 1) {
      out += "<circle class=\"" + color_class("f", series.color) + "\" r=\"2.5\" cx=\"" + coordinate(frame.x(run[0].x)) + "\" cy=\"" +
             coordinate(frame.y(run[0].mean)) + "\"/>\n";
      continue;
    }
    if (series.points.size() > kMaxDrawnPoints) {
      out += "<path class=\"band " + color_class("f", series.color) + "\" d=\"" + upper + lower + "Z\"/>\n";
    }
    out += "<path class=\"series " + color_class("s", series.color) + "\" d=\"" + line + "\"/>\n";
  }
  return out;
}

std::string svg_dots(const Series& series, const Frame& frame) {
  std::string line, dots;
  for (const Point& point : series.points) {
    if (!std::isfinite(point.y)) continue;
    const std::string x = coordinate(frame.x(point.x)), y = coordinate(frame.y(point.y));
    line += (line.empty() ? "M" : "L") + x + " " + y;
    dots += "<circle class=\"dot " + color_class("f", series.color) + "\" r=\"3.5\" cx=\"" + x + "\" cy=\"" + y + "\"><title>" +
            escape_html(series.name) + " " + format_short(point.y) + " at " + format_grouped(point.x) + "</title></circle>\n";
  }
  return "<path class=\"series dash " + color_class("s", series.color) + "\" d=\"" + line + "\"/>\n" + dots;
}

std::string svg_axes(const Frame& frame, const std::string& x_name) {
  std::string out;
  for (const double tick : axis_ticks(frame.y_low, frame.y_high, 6)) {
    const std::string y = coordinate(frame.y(tick));
    out += "<line class=\"grid\" x1=\"" + coordinate(kLeft) + "\" x2=\"" + coordinate(frame.width - kRight) + "\" y1=\"" + y + "\" y2=\"" +
           y + "\"/><text text-anchor=\"end\" x=\"" + coordinate(kLeft - 7) + "\" y=\"" + coordinate(frame.y(tick) + 3.8) + "\">" +
           format_short(tick) + "</text>\n";
  }
  for (const double tick : axis_ticks(frame.x_low, frame.x_high, 6, 1)) {
    out += "<text text-anchor=\"middle\" x=\"" + coordinate(frame.x(tick)) + "\" y=\"" + coordinate(frame.height - kBottom + 16) + "\">" +
           format_grouped(tick) + "</text>\n";
  }
  return out + "<text text-anchor=\"end\" x=\"" + coordinate(frame.width - kRight) + "\" y=\"" + coordinate(frame.height - 4) + "\">" +
         escape_html(x_name) + "</text>\n";
}

std::vector<Point> finite_points(const Series& series) {
  std::vector<Point> out;
  std::copy_if(series.points.begin(), series.points.end(), std::back_inserter(out), [](const Point& p) { return std::isfinite(p.y); });
  return out;
}

std::string legend(const Series& series, double last) {
  const std::string color = color_class("s", series.color);
  const bool dots = series.mark == Mark::kDots;
  return "<span><svg viewBox=\"0 0 22 10\" aria-hidden=\"true\"><path class=\"series " + color + (dots ? " dash" : "") +
         "\" d=\"M1 5L21 5\"/>" +
         (dots ? "<circle class=\"dot " + color_class("f", series.color) + "\" r=\"3.5\" cx=\"11\" cy=\"5\"/>" : "") + "</svg>" +
         escape_html(series.name) + " <b>" + format_short(last) + "</b></span>\n";
}

// "loss from 4.02 to 1.65, lowest 1.60"
std::string spoken(const std::string& name, const std::vector<Point>& points) {
  const auto lowest = std::min_element(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.y < b.y; });
  return name + " from " + format_short(points.front().y) + " to " + format_short(points.back().y) + ", lowest " + format_short(lowest->y);
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, int count, double smallest) {
  const double raw = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (factor * power >= raw * 0.999) {
      step = factor * power;
      break;
    }
  }
  step = std::max(step, smallest);
  if (!std::isfinite(step) || step <= 0) return {};
  std::vector<double> ticks;
  for (double at = std::ceil(low / step - 1e-9); at <= std::floor(high / step + 1e-9); ++at) ticks.push_back(at == 0 ? 0.0 : at * step);
  return ticks;
}

std::string html_chart(const Chart& chart) {
  const Frame frame = frame_of(chart);
  if (frame.empty()) return "";
  std::string keys, lines, label = chart.title + " by " + chart.x_name;
  for (const Series& series : chart.series) {
    const std::vector<Point> points = finite_points(series);
    if (points.empty()) continue;
    keys += legend(series, points.back().y);
    lines += series.mark == Mark::kDots ? svg_dots(series, frame) : svg_line(series, frame);
    label += "; " + spoken(series.name, points);
  }
  return std::string("<figure") + (chart.width == Width::kFull ? " class=\"wide\"" : "") + "><figcaption>" + escape_html(chart.title) +
         (chart.remark.empty() ? "" : "<small>" + escape_html(chart.remark) + "</small>") + "</figcaption>\n<div class=\"keys\">" + keys +
         "</div>\n<svg class=\"chart\" role=\"img\" viewBox=\"0 0 " + format_fixed(frame.width, 0) + " " + format_fixed(frame.height, 0) +
         "\" aria-label=\"" + escape_html(label) + "\">\n" + svg_axes(frame, chart.x_name) + lines + "</svg></figure>\n";
}

}  // namespace sluice::monitor
