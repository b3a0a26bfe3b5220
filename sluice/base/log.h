// Where the program says what it does: lines to standard error and, once a run folder exists, to its log.txt.
#pragma once
#include <fstream>
#include <functional>
#include <mutex>
#include <string>

#include "sluice/base/file.h"

namespace sluice {

// Thread-safe; passed by reference, made once by main. Each line is flushed, so a killed run's log is whole.
class Log {
 public:
  enum class Level { kQuiet, kNormal, kVerbose };
  explicit Log(Level level = Level::kNormal) : level_(level) {}

  void info(const std::string& line);     // what happens
  void note(const std::string& line);     // "note: ...": something the user may not expect, nothing is wrong
  void warning(const std::string& line);  // "warning: ...": something to act on; carries its remedy
  void debug(const std::string& line);    // only at kVerbose
  void file_only(const std::string& line);  // to log.txt alone, for what the display already shows

  // From now on every line also goes to `path`, with the time of day; earlier content is kept.
  void open_file(const fs::path& path);

  // While a live display owns the terminal, lines go through it: called with each line instead of writing to standard error.
  void set_sink(std::function<void(const std::string&)> sink);

 private:
  void write(const std::string& line, bool to_terminal);
  std::mutex mutex_;
  Level level_;
  std::ofstream file_;
  std::function<void(const std::string&)> sink_;
};

}  // namespace sluice
