// Pages that need nothing but themselves: no script, no font, no picture from elsewhere; light or dark as the reader's system is.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sluice::monitor {

// `text` as HTML text or attribute value.
std::string escape_html(std::string_view text);

// A whole page around `body`, with the style that charts, heat maps and tables below share.
std::string html_page(const std::string& title, const std::string& body);

// A section with its heading (plain text) around `body` (HTML); nothing when the body is empty.
std::string html_section(const std::string& heading, const std::string& body);

// A key figure: a large value, what it is, and a remark, each plain text.
struct Figure {
  std::string value, label, remark;
};
std::string html_figures(const std::vector<Figure>& figures);

// A table of plain texts. `kNumber` columns are right-aligned. Cells named in `emphasized` (row, column) stand out.
enum class Column { kText, kNumber };
struct Table {
  std::vector<std::string> header;
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::pair<std::size_t, std::size_t>> emphasized;
};
std::string html_table(const Table& table);

}  // namespace sluice::monitor
