// One writer a folder at a time.
#pragma once
#include "sluice/base/file.h"

namespace sluice::convert {

// Holds `folder` (flock(2)) while the object lives, under whatever name the folder gets; the system lets go of it when the process ends,
// however it ends. Error when another process holds it, or when the folder was renamed or replaced meanwhile.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder);

 private:
  FileDescriptor folder_;
};

}  // namespace sluice::convert
