#include "sluice/monitor/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <vector>

namespace sluice::monitor {
namespace {

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

bool locale_is_utf8() {
  for (const char* const name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value = environment(name);
    if (value.empty()) continue;
    std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::tolower(c); });
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

// The bytes of the first character of `text` (1 where it is not UTF-8) and its code point.
struct Character {
  std::size_t size;
  char32_t code;
};
Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t size = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (size == 1 || size > text.size()) return {1, lead};
  char32_t code = lead & (0xFFu >> (size + 1));
  for (std::size_t at = 1; at < size; ++at) code = code << 6 | (static_cast<unsigned char>(text[at]) & 0x3Fu);
  return {size, code};
}

// Columns of a code point: the wide blocks of Unicode's East Asian Width table, coarsely; combining marks take none.
int columns_of(char32_t code) {
  constexpr std::array<std::array<char32_t, 2>, 9> kWide = {{{0x1100, 0x115F},
                                                             {0x2E80, 0xA4CF},
                                                             {0xAC00, 0xD7A3},
                                                             {0xF900, 0xFAFF},
                                                             {0xFE30, 0xFE6F},
                                                             {0xFF00, 0xFF60},
                                                             {0xFFE0, 0xFFE6},
                                                             {0x1F300, 0x1FAFF},
                                                             {0x20000, 0x3FFFD}}};
  if ((code >= 0x300 && code <= 0x36F) || (code >= 0x200B && code <= 0x200F)) return 0;
  return std::any_of(kWide.begin(), kWide.end(), [&](const auto& block) { return code >= block[0] && code <= block[1]; }) ? 2 : 1;
}

// Bytes of the colour sequence that `text` begins with; 0 if it does not.
std::size_t color_sequence(std::string_view text) {
  if (!text.starts_with("\x1b[")) return 0;
  const auto end = text.find('m');
  return end == std::string_view::npos ? 0 : end + 1;
}

// Where in `text` the columns run out, and how many were used up to there.
struct Cut {
  std::size_t bytes;
  int columns;
};
Cut cut_at(std::string_view text, int columns) {
  Cut cut{0, 0};
  while (cut.bytes < text.size()) {
    if (const std::size_t color = color_sequence(text.substr(cut.bytes)); color > 0) {
      cut.bytes += color;
      continue;
    }
    const Character next = first_character(text.substr(cut.bytes));
    if (cut.columns + columns_of(next.code) > columns) break;
    cut.bytes += next.size;
    cut.columns += columns_of(next.code);
  }
  return cut;
}

constexpr std::array<const char*, 9> kBlocks = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<const char*, 9> kAsciiLevels = {" ", ".", ":", "-", "=", "+", "*", "#", "@"};

}  // namespace

Terminal detect_terminal(int file_descriptor) {
  Terminal terminal;
  terminal.interactive = isatty(file_descriptor) == 1 && environment("TERM") != "dumb";
  terminal.color = terminal.interactive && environment("NO_COLOR").empty();
  terminal.unicode = locale_is_utf8();
  winsize size{};
  if (terminal.interactive && ioctl(file_descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
    terminal.columns = size.ws_col;
    terminal.rows = size.ws_row;
  }
  return terminal;
}

std::string paint(const Terminal& terminal, Color color, const std::string& text) {
  if (!terminal.color || text.empty()) return text;
  constexpr std::array<const char*, 6> kCodes = {"31", "33", "32", "36", "2", "1"};  // in the order of Color
  return std::string("\x1b[") + kCodes[static_cast<std::size_t>(color)] + "m" + text + "\x1b[0m";
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character next = first_character(text);
    const bool control = next.code < 0x20 || (next.code >= 0x7F && next.code < 0xA0);
    if (control)
      out += ' ';
    else
      out.append(text.substr(0, next.size));
    text.remove_prefix(next.size);
  }
  return out;
}

int display_width(std::string_view text) { return cut_at(text, 1 << 30).columns; }

std::string fit(std::string_view text, int columns) {
  const Cut cut = cut_at(text, columns);
  std::string out(text.substr(0, cut.bytes));
  if (cut.bytes < text.size() && text.find('\x1b') != std::string_view::npos) out += "\x1b[0m";
  return out;
}

std::string pad_right(const std::string& text, int columns) {
  return text + std::string(static_cast<std::size_t>(std::max(0, columns - display_width(text))), ' ');
}

std::string pad_left(const std::string& text, int columns) {
  return std::string(static_cast<std::size_t>(std::max(0, columns - display_width(text))), ' ') + text;
}

std::string progress_bar(const Terminal& terminal, double fraction, int cells) {
  const double filled = std::clamp(std::isfinite(fraction) ? fraction : 0.0, 0.0, 1.0) * cells;
  std::string out;
  for (int cell = 0; cell < cells; ++cell) {
    const double here = std::clamp(filled - cell, 0.0, 1.0);
    if (terminal.unicode)
      out += here >= 0.75 ? "█" : here >= 0.25 ? "▌" : "░";
    else
      out += here >= 0.5 ? "#" : "-";
  }
  return out;
}

std::string level(const Terminal& terminal, double fraction) {
  const auto& glyphs = terminal.unicode ? kBlocks : kAsciiLevels;
  if (std::isnan(fraction) || fraction == 0) return glyphs[0];
  return glyphs[static_cast<std::size_t>(std::clamp(std::lround(fraction * 8), 1L, 8L))];
}

std::string sparkline(const Terminal& terminal, std::span<const double> values, int cells) {
  const std::size_t columns = std::min(values.size(), static_cast<std::size_t>(std::max(0, cells)));
  std::vector<double> means;  // of each column's share of the values
  for (std::size_t column = 0; column < columns; ++column) {
    double sum = 0, count = 0;
    for (std::size_t at = column * values.size() / columns; at < (column + 1) * values.size() / columns; ++at) {
      if (!std::isfinite(values[at])) continue;
      sum += values[at];
      ++count;
    }
    means.push_back(count > 0 ? sum / count : std::nan(""));
  }
  double low = INFINITY, high = -INFINITY;
  for (const double mean : means) {
    if (std::isnan(mean)) continue;
    low = std::min(low, mean);
    high = std::max(high, mean);
  }
  std::string out;
  for (const double mean : means) {
    out += std::isnan(mean) ? " " : level(terminal, high > low ? 0.125 + 0.875 * (mean - low) / (high - low) : 0.5);
  }
  return out;
}

}  // namespace sluice::monitor
