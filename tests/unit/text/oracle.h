// Runs tests/unit/text/oracle.py in the project's .venv.
#pragma once
#include <unistd.h>
#include <cstdlib>
#include <string>

#include "sluice/base/file.h"
#include "sluice/base/json.h"

namespace sluice::text {

// A folder of this test's own, removed at its end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "sluice_text_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~ScratchFolder() { fs::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline fs::path oracle_python() { return fs::path(SLUICE_SOURCE_DIR) / ".venv/bin/python"; }

// The exit status of `oracle.py arguments`; what it prints goes to the test's output.
inline int run_oracle(const std::string& arguments) {
  const fs::path script = fs::path(SLUICE_SOURCE_DIR) / "tests/unit/text/oracle.py";
  const std::string command = "\"" + oracle_python().string() + "\" -B \"" + script.string() + "\" " + arguments;
  return std::system(command.c_str());
}

// The rows that `oracle.py job OUT` writes.
inline std::vector<Json> oracle_rows(const std::string& job) {
  const ScratchFolder scratch;
  const fs::path out = scratch.path() / "rows.jsonl";
  if (run_oracle(job + " \"" + out.string() + "\"") != 0) return {};
  std::vector<Json> rows;
  LineReader lines(out);
  std::string line;
  while (lines.next(line)) rows.push_back(parse_json(line, lines.where()));
  return rows;
}

}  // namespace sluice::text

#define SLUICE_NEEDS_ORACLE() \
  if (!::sluice::fs::exists(::sluice::text::oracle_python())) GTEST_SKIP() << "no .venv: make its Python with scripts/setup.sh"
