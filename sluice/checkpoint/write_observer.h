// Told of every change a writer is about to make on disk, so that tests can stop it at each one.
#pragma once
#include <cstddef>

#include "sluice/base/file.h"

namespace sluice::checkpoint {

class WriteObserver {
 public:
  enum class Change { kCreate, kWrite, kSync, kRename, kRemove };
  virtual ~WriteObserver() = default;
  // Called before the change, with the path it concerns (a rename's source). May throw: the writer then cleans up as after a failed write.
  virtual void before(Change change, const fs::path& path) = 0;
};

}  // namespace sluice::checkpoint
