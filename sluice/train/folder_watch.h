// Whether the run folder is still the one that the run began in.
#pragma once
#include <sys/types.h>

#include "sluice/base/file.h"

namespace sluice::train {

// Of a folder that exists. Removed or moved away, it is not made anew under its name: half a run would lie there.
class FolderWatch {
 public:
  explicit FolderWatch(const fs::path& folder);
  bool is_there() const;
  void require() const;  // Error when it is gone

 private:
  fs::path folder_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace sluice::train
