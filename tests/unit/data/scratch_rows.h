// A file of rows for one test, in a folder of its own that goes when the test ends.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "sluice/base/file.h"

namespace sluice::data {

class ScratchRows {
 public:
  explicit ScratchRows(const std::string& bytes) {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    static int number = 0;
    folder_ = fs::temp_directory_path() / ("sluice-" + std::string(test->test_suite_name()) + "-" + test->name() + "-" +
                                           std::to_string(getpid()) + "-" + std::to_string(number++));
    fs::create_directories(folder_);
    write_file_atomic(path(), bytes);
  }
  ~ScratchRows() { fs::remove_all(folder_); }
  ScratchRows(const ScratchRows&) = delete;
  ScratchRows& operator=(const ScratchRows&) = delete;

  fs::path path() const { return folder_ / "input.jsonl"; }
  fs::path beside(const std::string& name) const { return folder_ / name; }  // another file in the same folder
  std::vector<std::string> files() const {                                   // names of all files in the folder, sorted
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  fs::path folder_;
};

inline std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> lines;
  std::string line;
  for (LineReader reader(file); reader.next(line);) lines.push_back(line);
  return lines;
}

}  // namespace sluice::data
