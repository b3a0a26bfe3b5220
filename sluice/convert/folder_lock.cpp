#include "sluice/convert/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "sluice/base/error.h"

namespace sluice::convert {

FolderLock::FolderLock(const fs::path& folder) : folder_(folder, O_RDONLY | O_DIRECTORY) {
  const Error busy(folder.string() + " is being written by another conversion",
                   "wait until that one is done, stop it, or give another --to");
  if (flock(folder_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) throw busy;
    throw Error("cannot lock " + folder.string() + ": " + std::strerror(errno), "give a --to on a file system that has locks");
  }
  struct stat held {
  }, named{};
  const bool same =
      fstat(folder_.get(), &held) == 0 && stat(folder.c_str(), &named) == 0 && held.st_ino == named.st_ino && held.st_dev == named.st_dev;
  if (!same) throw busy;  // it was finished between opening and locking
}

}  // namespace sluice::convert
