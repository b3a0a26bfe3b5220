#include "sluice/train/folder_watch.h"

#include <sys/stat.h>

#include "sluice/base/error.h"

namespace sluice::train {

FolderWatch::FolderWatch(const fs::path& folder) : folder_(fs::absolute(folder)) {
  struct stat info {};
  if (stat(folder_.c_str(), &info) != 0) throw Error("there is no folder " + folder_.string(), "make it, or give another --output-dir");
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

bool FolderWatch::is_there() const {
  struct stat info {};
  return stat(folder_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
}

void FolderWatch::require() const {
  if (is_there()) return;
  throw Error("the run folder " + folder_.string() + " was removed or moved away while the run went on; what came after the last save is lost",
              "where it was moved, go on from there: --resume latest with that folder as --output-dir; else start again");
}

}  // namespace sluice::train
