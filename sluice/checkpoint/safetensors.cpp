#include "sluice/checkpoint/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/checkpoint/safetensors_header.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are stored little-endian and mapped as they are");

const char* const kRemedy = "the file is damaged or cut short: copy, download or write it again";

// Each range holds its tensor, and sorted by range they follow each other without a gap from 0 to the end of the data.
void check_ranges(const std::vector<HeaderEntry>& entries, std::uint64_t data_bytes, const std::string& where) {
  std::uint64_t covered = 0;
  const std::string* previous = nullptr;
  for (const HeaderEntry& entry : entries) {
    const std::string tensor = where + ": tensor " + in_quotes(entry.spec.name);
    const std::string range = "[" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + ")";
    if (entry.begin > entry.end) throw Error(tensor + " has data_offsets " + range + ", which end before they begin", kRemedy);
    if (entry.end > data_bytes) {
      throw Error(tensor + " has data_offsets " + range + ", but the file holds " + std::to_string(data_bytes) + " bytes of data", kRemedy);
    }
    const auto bytes = tensor_bytes(entry.spec.dtype, entry.spec.shape);
    if (!bytes) throw Error(tensor + " has the shape " + shape_text(entry.spec.shape) + ", more elements than can be counted", kRemedy);
    if (*bytes != entry.end - entry.begin) {
      throw Error(tensor + " of type " + std::string(dtype_name(entry.spec.dtype)) + " and shape " + shape_text(entry.spec.shape) +
                      " needs " + std::to_string(*bytes) + " bytes, but its data_offsets " + range + " hold " +
                      std::to_string(entry.end - entry.begin),
                  kRemedy);
    }
    if (entry.begin < covered) {
      throw Error(tensor + " has data_offsets " + range + ", which overlap tensor " + in_quotes(*previous) + " ending at " +
                      std::to_string(covered),
                  kRemedy);
    }
    if (entry.begin > covered) {
      throw Error(tensor + " has data_offsets " + range + ", which leave the bytes from " + std::to_string(covered) + " to no tensor",
                  kRemedy);
    }
    covered = entry.end;
    previous = &entry.spec.name;
  }
  if (covered != data_bytes) {
    throw Error(
        where + ": the last " + std::to_string(data_bytes - covered) + " of " + std::to_string(data_bytes) + " bytes belong to no tensor",
        kRemedy);
  }
}

void check_names(const std::vector<HeaderEntry>& entries, const std::string& where) {
  std::vector<std::string_view> names;
  names.reserve(entries.size());
  for (const HeaderEntry& entry : entries) names.push_back(entry.spec.name);
  std::ranges::sort(names);
  if (const auto twice = std::ranges::adjacent_find(names); twice != names.end()) {
    throw Error(where + ": tensor " + in_quotes(*twice) + " appears twice in the header", kRemedy);
  }
}

}  // namespace

std::uint64_t TensorSpec::num_bytes() const {
  const auto bytes = tensor_bytes(dtype, shape);
  if (!bytes)
    throw Error("tensor " + in_quotes(name) + " has the shape " + shape_text(shape) + ", which no file can hold",
                "use positive sizes below 2^63 bytes");
  return *bytes;
}

SafetensorsContents parse_safetensors(std::span<const std::byte> file, const std::string& where) {
  std::uint64_t header_bytes = 0;
  if (file.size() < sizeof header_bytes) {
    throw Error(where + ": " + std::to_string(file.size()) + " bytes are too few for a safetensors file (at least 10)", kRemedy);
  }
  constexpr std::string_view kLfsPointer = "version https://git-lfs.github.com/spec/";
  if (std::string_view(reinterpret_cast<const char*>(file.data()), file.size()).starts_with(kLfsPointer)) {
    throw Error(where + " is a Git LFS pointer: the few lines that stand for the file until it is fetched", "run `git lfs pull` in that folder, or download the file itself");
  }
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  if (header_bytes > kMaxHeaderBytes) {
    throw Error(
        where + ": the header claims " + std::to_string(header_bytes) + " bytes, more than the limit of " + std::to_string(kMaxHeaderBytes),
        "this is not a safetensors file, or it is damaged: check the path, copy or download it again");
  }
  const auto rest = file.subspan(sizeof header_bytes);
  if (header_bytes > rest.size()) {
    throw Error(
        where + ": the header claims " + std::to_string(header_bytes) + " bytes, but only " + std::to_string(rest.size()) + " follow",
        kRemedy);
  }
  Header header = parse_header({reinterpret_cast<const char*>(rest.data()), header_bytes}, where);
  const auto data = rest.subspan(header_bytes);
  std::ranges::stable_sort(header.entries, {}, [](const HeaderEntry& entry) { return std::pair(entry.begin, entry.end); });
  check_names(header.entries, where);
  check_ranges(header.entries, data.size(), where);

  SafetensorsContents contents;
  contents.metadata = std::move(header.metadata);
  contents.tensors.reserve(header.entries.size());
  for (HeaderEntry& entry : header.entries) {
    contents.tensors.push_back(
        {std::move(entry.spec.name), entry.spec.dtype, std::move(entry.spec.shape), data.subspan(entry.begin, entry.end - entry.begin)});
  }
  return contents;
}

SafetensorsFile::SafetensorsFile(const fs::path& path)
    : path_(path), file_(std::make_unique<MappedFile>(path)), contents_(parse_safetensors(file_->bytes(), path.string())) {
  index_.reserve(contents_.tensors.size());
  for (std::size_t i = 0; i < contents_.tensors.size(); ++i) index_.emplace(contents_.tensors[i].name, i);
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &contents_.tensors[found->second];
}

const TensorView& SafetensorsFile::require(std::string_view name) const {
  if (const TensorView* tensor = find(name)) return *tensor;
  std::vector<std::string> names;
  for (const TensorView& tensor : contents_.tensors) names.push_back(tensor.name);
  throw Error(path_.string() + " has no tensor " + in_quotes(name) + " among its " + std::to_string(names.size()),
              names.empty() ? "give a file that holds the model's weights"
                            : "give a file of this model; the nearest name is " + in_quotes(nearest(name, names)));
}

}  // namespace sluice::checkpoint
