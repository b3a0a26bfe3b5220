// What a rank writes, line by line: to the terminal under its rank, and to its own file.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "sluice/base/file.h"

namespace sluice::launch {

// The read end of a pipe that a rank writes to. Lines of the ranks never mix.
class RankOutput {
 public:
  // `prefix` begins each line on standard error ("[rank 3] "). `file` gets the lines as they are, behind what it has; empty for none.
  // Error when the file cannot be written.
  RankOutput(const std::string& prefix, const fs::path& file);
  ~RankOutput();
  RankOutput(const RankOutput&) = delete;
  RankOutput& operator=(const RankOutput&) = delete;

  int write_end() const { return write_end_; }  // for the rank
  int read_end() const { return read_end_; }
  void close_write_end();  // once the rank has it
  // Takes some of what has come, without waiting; at the end an unfinished line too.
  enum class Came { kSome, kNothing, kEnd };
  Came take();

 private:
  void show(std::string lines);
  std::string prefix_, unfinished_;
  std::optional<FileDescriptor> file_;
  int read_end_ = -1, write_end_ = -1;
};

}  // namespace sluice::launch
