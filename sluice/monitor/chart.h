// Line charts as inline SVG.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::monitor {

struct Point {
  double x = 0, y = 0;
};

// kLine: many points, drawn as a line (as means with a band from lowest to highest where there are more points than pixels).
// kDots: few points, each marked, joined by a dotted line.
enum class Mark { kLine, kDots };

struct Series {
  std::string name;
  std::vector<Point> points;  // by x; a y that is not finite leaves a gap
  std::size_t color = 0;      // of the page's eight, taken modulo 8
  Mark mark = Mark::kLine;
};

enum class Baseline { kData, kZero };  // where the y axis begins: at the lowest value, or at 0
enum class Width { kHalf, kFull };     // of the page

struct Chart {
  std::string title = {}, remark = {};
  std::string x_name = "step";
  Baseline baseline = Baseline::kData;
  Width width = Width::kHalf;
  std::vector<Series> series = {};
};

// A <figure> with a legend and last values, readable aloud by its label; nothing when no series has a finite point.
std::string html_chart(const Chart& chart);

// About `count` round numbers that span [low, high], each a multiple of 1, 2, 2.5 or 5 times a power of ten, at least `smallest` apart.
std::vector<double> axis_ticks(double low, double high, int count, double smallest = 0);

}  // namespace sluice::monitor
