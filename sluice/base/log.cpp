#include "sluice/base/log.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <ctime>
#include <iostream>

#include "sluice/base/error.h"

namespace sluice {

LogLevel log_level_of_environment() {
  const char* const given = std::getenv("SLUICE_LOG_LEVEL");
  if (given == nullptr || *given == '\0') return LogLevel::kInfo;
  std::string word = given;
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto all = names(LogLevel{});
  const auto found = std::ranges::find(all, word);
  if (found == all.end()) throw Error("SLUICE_LOG_LEVEL = " + std::string(given) + " is not a level", "set it to debug, info, warning or error, or unset it");
  return static_cast<LogLevel>(found - all.begin());
}

void Log::info(const std::string& line) { write(line, LogLevel::kInfo); }
void Log::note(const std::string& line) { write("note: " + line, LogLevel::kInfo); }
void Log::warning(const std::string& line) { write("warning: " + line, LogLevel::kWarning); }
void Log::debug(const std::string& line) { write("debug: " + line, LogLevel::kDebug); }

void Log::file_only(const std::string& line) {
  const std::lock_guard lock(mutex_);
  append(line);
}

LogLevel Log::level() const {
  const std::lock_guard lock(mutex_);
  return level_;
}

void Log::set_level(LogLevel level) {
  const std::lock_guard lock(mutex_);
  level_ = level;
}

void Log::open_file(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  file_.open(path, std::ios::app);
  if (!file_) throw Error("cannot write " + path.string(), "check that the folder exists and that you may write to it");
}

void Log::set_sink(std::function<void(const std::string&)> sink) {
  const std::lock_guard lock(mutex_);
  sink_ = std::move(sink);
}

void Log::write(const std::string& line, LogLevel importance) {
  const std::lock_guard lock(mutex_);
  const bool shown = importance >= level_;
  if (shown && sink_) sink_(line);
  else if (shown) std::cerr << line << std::endl;
  if (shown || importance > LogLevel::kDebug) append(line);
}

void Log::append(const std::string& line) {
  if (!file_.is_open()) return;
  char stamp[32];
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  std::strftime(stamp, sizeof stamp, "%H:%M:%S ", &parts);
  file_ << stamp << line << std::endl;
}

}  // namespace sluice
