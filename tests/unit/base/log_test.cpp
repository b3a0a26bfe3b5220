// Which lines reach the terminal and which log.txt.
#include "sluice/base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "sluice/base/error.h"

namespace sluice {
namespace {

// One line of each kind through a log of this level: what the terminal was given, and what the file holds (without the time of day).
struct Written {
  std::vector<std::string> terminal, file;
};

Written write_all(LogLevel level) {
  const fs::path path = fs::temp_directory_path() / ("sluice_log_" + std::to_string(getpid()) + ".txt");
  Written out;
  {
    Log log(level);
    log.open_file(path);
    log.set_sink([&](const std::string& line) { out.terminal.push_back(line); });
    log.debug("d");
    log.info("i");
    log.note("n");
    log.warning("w");
    log.file_only("f");
  }
  LineReader lines(path);
  for (std::string line; lines.next(line);) out.file.push_back(line.substr(9));
  fs::remove(path);
  return out;
}

using Lines = std::vector<std::string>;

TEST(Log, TheTerminalHasTheLevelsAboveAndTheFileInfoInAnyCase) {
  EXPECT_EQ(write_all(LogLevel::kDebug).terminal, (Lines{"debug: d", "i", "note: n", "warning: w"}));
  EXPECT_EQ(write_all(LogLevel::kInfo).terminal, (Lines{"i", "note: n", "warning: w"}));
  EXPECT_EQ(write_all(LogLevel::kWarning).terminal, (Lines{"warning: w"}));
  EXPECT_EQ(write_all(LogLevel::kError).terminal, Lines{});
  EXPECT_EQ(write_all(LogLevel::kDebug).file, (Lines{"debug: d", "i", "note: n", "warning: w", "f"}));
  EXPECT_EQ(write_all(LogLevel::kError).file, (Lines{"i", "note: n", "warning: w", "f"}));
}

TEST(Log, TheEnvironmentNamesALevelInAnyCaseOfLetters) {
  unsetenv("SLUICE_LOG_LEVEL");
  EXPECT_EQ(log_level_of_environment(), LogLevel::kInfo);
  setenv("SLUICE_LOG_LEVEL", "WARNING", 1);
  EXPECT_EQ(log_level_of_environment(), LogLevel::kWarning);
  setenv("SLUICE_LOG_LEVEL", "loud", 1);
  EXPECT_THROW(log_level_of_environment(), Error);
  unsetenv("SLUICE_LOG_LEVEL");
}

}  // namespace
}  // namespace sluice
