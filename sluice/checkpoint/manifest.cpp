#include "sluice/checkpoint/manifest.h"

#include <fcntl.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <span>
#include <vector>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"
#include "sluice/checkpoint/observed_file.h"
#include "sluice/checkpoint/safetensors_writer.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

constexpr const char* kFormat = "sluice-checkpoint";
constexpr int kVersion = 1;
constexpr std::string_view kNotePrefix = ".noted-";

// Files under `folder`, sorted, the manifest not among them; folders go to `folders`, the inner ones first.
std::vector<fs::path> list_files(const fs::path& folder, std::vector<fs::path>& folders) {
  std::error_code failed;
  std::vector<fs::path> files;
  for (fs::recursive_directory_iterator entry(folder, failed); !failed && entry != fs::recursive_directory_iterator();
       entry.increment(failed)) {
    if (entry->is_directory()) {
      folders.push_back(entry->path());
    } else if (entry->path() != folder / kManifestName) {
      files.push_back(entry->path());
    }
  }
  if (failed) throw Error("cannot read the folder " + folder.string() + ": " + failed.message(), "check the path and that you may read it");
  std::ranges::sort(files);
  std::ranges::sort(folders, std::ranges::greater());
  return files;
}

void sync_file(const fs::path& path, WriteObserver* observer) {
  if (observer) observer->before(WriteObserver::Change::kSync, path);
  FileDescriptor(path, O_RDONLY).sync();
}

// Read piece by piece: mapped, the whole of a file would count as this program's memory.
std::uint32_t checksum_of(const fs::path& path) {
  constexpr std::size_t kPieceBytes = 1 << 20;
  std::ifstream in(path, std::ios::binary);
  std::vector<char> piece(kPieceBytes);
  std::uint32_t sum = 0;
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0) {
    sum = crc32c(std::as_bytes(std::span(piece).first(static_cast<std::size_t>(in.gcount()))), sum);
  }
  if (!in.eof()) throw Error("cannot read " + path.string(), "check the disk and that you may read it");
  return sum;
}

// What the manifest says of a file, which is synced.
Json record_of(const fs::path& folder, const fs::path& path, WriteObserver* observer) {
  sync_file(path, observer);
  return {{"name", path.lexically_relative(folder).string()}, {"size_bytes", fs::file_size(path)}, {"crc32c", checksum_text(checksum_of(path))}};
}

bool is_note(const fs::path& path) { return path.filename().string().starts_with(kNotePrefix) && path.extension() == ".json"; }

// What note_files() has left among `files`, by the name of the file that it is of; the notes are removed.
std::map<std::string, Json> take_notes(std::vector<fs::path>& files, WriteObserver* observer) {
  std::map<std::string, Json> records;
  std::erase_if(files, [&](const fs::path& path) {
    if (!is_note(path)) return false;
    for (Json& record : parse_strict_json(read_file(path), path.string())) {
      auto name = record.at("name").get<std::string>();
      records.emplace(std::move(name), std::move(record));
    }
    remove_folder_observed(path, observer);
    return true;
  });
  return records;
}

bool is_inside(const std::string& name) {
  const fs::path path(name);
  return !name.empty() && name.find('\0') == std::string::npos && path.is_relative() &&
         std::ranges::find(path, fs::path("..")) == path.end();
}

// What is wrong with one file that the manifest lists; nothing when it is as recorded.
std::optional<std::string> file_fault(const fs::path& folder, const Json& record, Verify verify) {
  const bool well_formed = record.is_object() && record.contains("name") && record["name"].is_string() && record.contains("size_bytes") &&
                           record["size_bytes"].is_number_unsigned() && record.contains("crc32c") && record["crc32c"].is_string();
  if (!well_formed) return "its manifest holds " + in_quotes(dump_json(record)) + " in place of a file's name, size_bytes and crc32c";
  const auto& name = record["name"].get_ref<const std::string&>();
  if (!is_inside(name)) return "its manifest names " + in_quotes(name) + ", which is not inside it";
  std::error_code failed;
  if (!fs::is_regular_file(folder / name, failed)) return name + " is missing";
  const std::uint64_t size = fs::file_size(folder / name, failed), expected = record["size_bytes"].get<std::uint64_t>();
  if (failed || size != expected)
    return name + " has " + std::to_string(failed ? 0 : size) + " bytes, not the " + std::to_string(expected) + " that were written";
  if (verify == Verify::kContents &&
      checksum_text(checksum_of(folder / name)) != record["crc32c"].get_ref<const std::string&>()) {
    return name + " does not have the checksum with which it was written: its bytes have changed";
  }
  return std::nullopt;
}

}  // namespace

void write_manifest(const fs::path& folder, WriteObserver* observer) {
  std::vector<fs::path> folders, files = list_files(folder, folders);
  std::map<std::string, Json> noted = take_notes(files, observer);
  Json records = Json::array();
  for (const fs::path& path : files) {
    const auto known = noted.find(path.lexically_relative(folder).string());
    records.push_back(known != noted.end() ? std::move(known->second) : record_of(folder, path, observer));
  }
  for (const fs::path& inner : folders) sync_folder_observed(inner, observer);
  const Json manifest = {{"format", kFormat}, {"version", kVersion}, {"files", std::move(records)}};
  write_whole_file(folder / kManifestName, manifest.dump(1, ' ', true) + "\n", observer);
}

void note_files(const fs::path& folder, const std::vector<fs::path>& files, const std::string& by, WriteObserver* observer) {
  Json records = Json::array();
  for (const fs::path& path : files) records.push_back(record_of(folder, path, observer));
  write_whole_file(folder / (std::string(kNotePrefix) + by + ".json"), dump_json(records), observer);
}

std::int64_t num_notes(const fs::path& folder) {
  std::vector<fs::path> folders;
  return std::ranges::count_if(list_files(folder, folders), is_note);
}

std::optional<std::string> manifest_fault(const fs::path& folder, Verify verify, FileShare share) {
  const fs::path path = folder / kManifestName;
  std::error_code failed;
  if (!fs::is_regular_file(path, failed)) return "it has no " + std::string(kManifestName);
  Json manifest;
  try {
    manifest = parse_strict_json(read_file(path), path.string());
  } catch (const Error& e) {
    return e.problem();  // the caller decides whether a faulty checkpoint is an error
  }
  if (!manifest.is_object() || manifest.value("format", Json()) != kFormat || !manifest.contains("files") ||
      !manifest["files"].is_array()) {
    return "its " + std::string(kManifestName) + " is not one of ours";
  }
  if (manifest.value("version", Json()) != kVersion) {
    return "its " + std::string(kManifestName) + " has version " + in_quotes(dump_json(manifest.value("version", Json()))) +
           ", this program reads version " + std::to_string(kVersion);
  }
  std::int64_t number = 0;
  for (const Json& record : manifest["files"]) {
    const bool is_read = verify == Verify::kContents && number++ % share.of == share.first;
    if (auto fault = file_fault(folder, record, is_read ? Verify::kContents : Verify::kSizes)) return fault;
  }
  return std::nullopt;
}

void require_whole(const fs::path& folder, Verify verify) {
  if (const auto fault = manifest_fault(folder, verify)) {
    throw Error("the checkpoint " + folder.string() + " is not whole: " + *fault, "copy it again, or use another checkpoint of the run");
  }
}

}  // namespace sluice::checkpoint
