// Where the program says what it does: lines to standard error and, once a run folder exists, to its log.txt.
#pragma once
#include <array>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "sluice/base/file.h"

namespace sluice {

// The least important lines that still reach the terminal. Errors that end the program always do.
enum class LogLevel { kDebug, kInfo, kWarning, kError };
constexpr std::array<std::string_view, 4> names(LogLevel) { return {"debug", "info", "warning", "error"}; }

// The level that SLUICE_LOG_LEVEL names, in any case of letters; kInfo where it is unset or empty. Error for another word.
LogLevel log_level_of_environment();

// Thread-safe; passed by reference, made once by main. Each line is flushed, so a killed run's log is whole.
class Log {
 public:
  explicit Log(LogLevel level = LogLevel::kInfo) : level_(level) {}

  void info(const std::string& line);     // what happens
  void note(const std::string& line);     // "note: ...": something the user may not expect, nothing is wrong; as important as info
  void warning(const std::string& line);  // "warning: ...": something to act on; carries its remedy
  void debug(const std::string& line);    // "debug: ...", to log.txt too only at kDebug; all others are always in log.txt
  void file_only(const std::string& line);  // to log.txt alone, for what the display already shows

  LogLevel level() const;
  void set_level(LogLevel level);

  // From now on every line also goes to `path`, with the time of day; earlier content is kept.
  void open_file(const fs::path& path);

  // While a live display owns the terminal, lines go through it: called with each line instead of writing to standard error.
  void set_sink(std::function<void(const std::string&)> sink);

 private:
  void write(const std::string& line, LogLevel importance);
  void append(const std::string& line);
  mutable std::mutex mutex_;
  LogLevel level_;
  std::ofstream file_;
  std::function<void(const std::string&)> sink_;
};

}  // namespace sluice
