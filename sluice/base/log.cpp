#include "sluice/base/log.h"

#include <ctime>
#include <iostream>

#include "sluice/base/error.h"

namespace sluice {

void Log::info(const std::string& line) { write(line, level_ != Level::kQuiet); }
void Log::note(const std::string& line) { write("note: " + line, level_ != Level::kQuiet); }
void Log::warning(const std::string& line) { write("warning: " + line, true); }
void Log::debug(const std::string& line) {
  if (level_ == Level::kVerbose) write(line, true);
}
void Log::file_only(const std::string& line) { write(line, false); }

void Log::open_file(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  file_.open(path, std::ios::app);
  if (!file_) throw Error("cannot write " + path.string(), "check that the folder exists and that you may write to it");
}

void Log::set_sink(std::function<void(const std::string&)> sink) {
  const std::lock_guard lock(mutex_);
  sink_ = std::move(sink);
}

void Log::write(const std::string& line, bool to_terminal) {
  const std::lock_guard lock(mutex_);
  if (to_terminal && sink_) sink_(line);
  else if (to_terminal) std::cerr << line << std::endl;
  if (!file_.is_open()) return;
  char stamp[32];
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  std::strftime(stamp, sizeof stamp, "%H:%M:%S ", &parts);
  file_ << stamp << line << std::endl;
}

}  // namespace sluice
