// What the tests of this folder share: folders that vanish, tensors with known bytes, and processes that die on purpose.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "sluice/base/error.h"
#include "sluice/base/file.h"
#include "sluice/checkpoint/write_observer.h"

namespace sluice::checkpoint {

// An empty folder of this test alone, removed at its end.
class ScratchFolder {
 public:
  ScratchFolder() {
    // In memory where possible: thousands of syncs are made here, none of which a test needs to reach a disk.
    const fs::path parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : testing::TempDir();
    std::string name = (parent / "sluice-checkpoint-XXXXXX").string();
    if (!mkdtemp(name.data())) throw Error("cannot make " + name, "check TMPDIR");
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

template <class T>
std::vector<T> values_of(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// The message of the Error that `work` throws; a test failure when it throws none.
inline std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    return e.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

inline void put_file(const fs::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  ASSERT_TRUE(out.flush().good()) << path;
}

inline std::ptrdiff_t num_entries(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

// Runs `work` in a process of its own; returns waitpid's status. `work` gives the exit status; an exception gives 99.
inline int status_of_child(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    int status = 99;
    try {
      status = work();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
    }
    _exit(status);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

// Before change number `n` (from 1): kills this process, as a power cut or kill -9 would.
class KillAt : public WriteObserver {
 public:
  explicit KillAt(int n) : left_(n) {}
  void before(Change, const fs::path&) override {
    if (--left_ == 0) raise(SIGKILL);
  }

 private:
  int left_;
};

// Before change number `n` (from 1): fails, as a disk would.
class FailAt : public WriteObserver {
 public:
  explicit FailAt(int n) : left_(n) {}
  void before(Change, const fs::path& path) override {
    if (--left_ == 0) throw Error("injected failure at " + path.string(), "none");
  }
  bool happened() const { return left_ <= 0; }

 private:
  int left_;
};

}  // namespace sluice::checkpoint
