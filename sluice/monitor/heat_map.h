// Tables of shares as inline SVG, shaded and with the numbers in the cells.
#pragma once
#include <string>
#include <vector>

namespace sluice::monitor {

// kBalance: colourless at an even share, one colour below and one above, a mark on cells out of ShareLimits.
// kAmount: the stronger the higher.
enum class Shading { kBalance, kAmount };

struct HeatMap {
  std::string title = {}, remark = {};
  std::string row_name, column_name;        // "layer", "expert": for the labels
  std::vector<std::string> row_labels;      // one a row
  std::vector<std::vector<double>> values;  // shares of their row; rows may differ in length
  Shading shading = Shading::kBalance;
};

// A <figure>; nothing when there are no values. Past 64 columns the cells are small and tell their number on hovering alone.
std::string html_heat_map(const HeatMap& map);

}  // namespace sluice::monitor
