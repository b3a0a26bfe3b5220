// A rank's time as a picture: computation and exchanges on one time line, for chrome://tracing and Perfetto (the "Trace Event Format", its JSON array).
#pragma once
#include <atomic>
#include <cstdint>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sluice/base/file.h"

namespace sluice::dist {

// One file a rank. Times are this host's clock's, so the files of several ranks can be joined. Of a run that is killed the file is still read: its
// closing bracket may be missing. While nothing is open every call costs one branch. Thread-safe, but for open() and close().
class TraceWriter {
 public:
  ~TraceWriter();
  void open(const fs::path& path, std::int64_t rank);  // Error when it cannot be made
  void close();                                        // Error when not all of it could be written
  bool on() const { return on_.load(std::memory_order_relaxed); }

  // Work of this thread from here to the end of the scope; scopes nest. Each thread has a row of its own. `name` outlives it.
  class Span {
   public:
    Span(TraceWriter& trace, std::string_view name) : trace_(trace), name_(name), begin_us_(trace.on() ? now_us() : kOff) {}
    ~Span() { if (begin_us_ != kOff) trace_.complete(trace_.own_row(), name_, begin_us_); }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    TraceWriter& trace_;
    std::string_view name_;
    std::int64_t begin_us_;
  };

  // An exchange that is under way. Those that are so at the same time get rows of their own.
  struct Exchange {
    std::size_t row = 0;  // 0: nothing is open
    std::int64_t begin_us = 0;
    std::string name;
    std::int64_t bytes = 0;  // that this rank sends
  };
  Exchange begin(std::string name, std::int64_t bytes);
  void end(const Exchange& exchange);

 private:
  static constexpr std::int64_t kOff = -1;
  static std::int64_t now_us();
  std::size_t own_row();  // this thread's
  void complete(std::size_t row, std::string_view name, std::int64_t begin_us, std::optional<std::int64_t> bytes = {});
  void write(const std::string& event);
  void name_row(std::size_t row, const std::string& name);

  std::atomic<bool> on_ = false;
  std::mutex mutex_;
  fs::path path_;
  std::int64_t rank_ = 0, flushed_us_ = 0;
  std::ofstream out_;
  std::vector<bool> taken_;                           // rows 1, 2, ..., of exchanges and of threads beside the one that opened
  std::map<std::thread::id, std::size_t> computing_;  // rows of threads
};

}  // namespace sluice::dist
