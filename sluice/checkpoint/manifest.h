// The list of a checkpoint's files, written last: a folder with a manifest that holds true is a whole checkpoint.
//   manifest.json: {"format": "sluice-checkpoint", "version": 1, "files": [{"name": ..., "size_bytes": ..., "crc32c": "8 hex digits"}]}
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/checkpoint/write_observer.h"

namespace sluice::checkpoint {

inline constexpr const char* kManifestName = "manifest.json";

// How far a manifest is compared with the files it lists.
enum class Verify {
  kSizes,     // that they are there and as long as they should be; reads none of them
  kContents,  // their checksums too; reads all of them
};

// Of a checkpoint whose files several processes read, each every `of`-th, beginning with file number `first`.
struct FileShare {
  std::int64_t first = 0, of = 1;
};

// Syncs every file and folder under `folder` to disk, then writes the manifest of the files (subfolders included, sorted by name).
void write_manifest(const fs::path& folder, WriteObserver* observer);

// Ranks that write one folder read their own files for the manifest, each before the one that writes it: syncs those of `files` and leaves a
// note of them, `by` in its name, which write_manifest() takes over and removes.
void note_files(const fs::path& folder, const std::vector<fs::path>& files, const std::string& by, WriteObserver* observer);

// How many notes lie in `folder`.
std::int64_t num_notes(const fs::path& folder);

// What keeps `folder` from being a whole checkpoint, in words; nothing when it is one. `share`: the files whose contents are read.
std::optional<std::string> manifest_fault(const fs::path& folder, Verify verify, FileShare share = {});

// Error with what manifest_fault says, if anything.
void require_whole(const fs::path& folder, Verify verify);

}  // namespace sluice::checkpoint
