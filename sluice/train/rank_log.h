// What each process of a run writes of itself: its log, what it sends, when it computes and when it exchanges.
#pragma once
#include <fstream>
#include <string>

#include "sluice/base/log.h"
#include "sluice/dist/mesh.h"
#include "sluice/train/recipe.h"

namespace sluice::train {

class RankLog {
 public:
  explicit RankLog(const dist::Mesh& mesh) : mesh_(mesh) {}  // which outlives this

  // Makes the files that log.rank_files, log.traffic and log.trace ask for, in the run's folder. Error when one cannot be made.
  void open(const Recipe& recipe);
  void note(const std::string& line) { log_.file_only(line); }

  // What is sent between these two is a step's.
  void begin_step();
  // Error when not all could be written.
  void end_step(std::int64_t number);

 private:
  void open_log(const fs::path& run);
  std::string traffic_of(std::int64_t step) const;

  const dist::Mesh& mesh_;
  Log log_{LogLevel::kError};
  fs::path traffic_path_;
  std::ofstream traffic_;  // open where it is asked for
  std::int64_t steps_to_trace_ = 0;
};

}  // namespace sluice::train
