// The folder that a conversion writes: beside its target until it is whole, so that a killed one leaves nothing that looks finished and
// the next attempt goes on where it stopped.
//   TO.partial/           files under their final names, each complete once it has its name
//   TO.partial/plan.json  what is being converted and how; a different plan starts anew
//   TO/                   the same folder, renamed when all is there
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "sluice/base/file.h"
#include "sluice/base/json.h"
#include "sluice/base/log.h"
#include "sluice/convert/folder_lock.h"

namespace sluice::convert {

class OutputFolder {
 public:
  // Error when `to` exists and is not empty, when it cannot be made, when another process is writing it, or when the disk lacks `bytes`
  // beyond what is already there.
  OutputFolder(const fs::path& to, const OrderedJson& plan, std::uint64_t bytes, Log& log);

  const fs::path& path() const { return partial_; }  // write here
  bool has(const std::string& file) const { return fs::exists(partial_ / file); }
  // Removes the plan and gives the folder its name.
  void commit();

 private:
  void require_free(const fs::path& given) const;  // Error when to_ holds anything
  void keep_or_empty(const OrderedJson& plan, Log& log);

  fs::path to_, partial_;
  std::optional<FolderLock> lock_;  // of partial_, as soon as it exists
};

// Of all files in it and in its subfolders.
std::uint64_t bytes_in(const fs::path& folder);

// Says how far a long job is: one line that changes on a terminal, else a plain line every tenth.
class Progress {
 public:
  Progress(std::string what, std::uint64_t total_bytes, Log& log);
  void add(std::uint64_t bytes);
  void finish();

 private:
  void show(bool last);
  std::string what_;
  std::uint64_t total_, done_ = 0;
  int tenths_ = 0;
  double start_s_, shown_s_ = 0;
  Log& log_;
};

}  // namespace sluice::convert
