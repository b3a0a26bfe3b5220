// Text for terminals: what the terminal can show, bars and sparklines, lines cut to its width.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace sluice::monitor {

struct Terminal {
  bool interactive = false;  // a screen whose lines can be redrawn; otherwise a file or a pipe
  bool color = false;        // NO_COLOR is unset
  bool unicode = false;      // the locale is UTF-8, so bars may be block elements
  int columns = 80, rows = 24;
};

// The terminal behind a file descriptor, by its present size and the environment (NO_COLOR, TERM, LC_ALL, LC_CTYPE, LANG).
Terminal detect_terminal(int file_descriptor);

enum class Color { kRed, kYellow, kGreen, kCyan, kDim, kBold };
std::string paint(const Terminal& terminal, Color color, const std::string& text);

// `text` with control characters, escape sequences among them, replaced by spaces: for what comes from files.
std::string printable(std::string_view text);

// Columns that `text` takes on a terminal: colours take none, CJK and emoji two.
int display_width(std::string_view text);

// `text` cut to `columns`, colours reset where it was cut.
std::string fit(std::string_view text, int columns);

// `text` padded with spaces on the right (or left) to `columns`.
std::string pad_right(const std::string& text, int columns);
std::string pad_left(const std::string& text, int columns);

// A progress bar of `cells` columns, filled to `fraction` of [0, 1].
std::string progress_bar(const Terminal& terminal, double fraction, int cells);

// One column whose height is `fraction` of [0, 1]; a blank only for exactly 0 or NaN.
std::string level(const Terminal& terminal, double fraction);

// The course of `values` in at most `cells` columns, scaled from their minimum to their maximum; values that are not finite are blanks.
std::string sparkline(const Terminal& terminal, std::span<const double> values, int cells);

}  // namespace sluice::monitor
