#include "sluice/checkpoint/safetensors_writer.h"

#include <cstdio>
#include <cstring>
#include <set>
#include <utility>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {

std::string checksum_text(std::uint32_t checksum) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", checksum);
  return text;
}

SafetensorsWriter::SafetensorsWriter(const fs::path& path, std::vector<TensorSpec> tensors, std::map<std::string, std::string> metadata,
                                     Checksums checksums, WriteObserver* observer)
    : path_(path), tensors_(std::move(tensors)), metadata_(std::move(metadata)), out_(path, observer) {
  std::set<std::string_view> names;
  for (const TensorSpec& tensor : tensors_) {
    SLUICE_CHECK(names.insert(tensor.name).second && tensor.name != "__metadata__",
                 "tensor name " + tensor.name + " declared twice or reserved");
  }
  if (checksums == Checksums::kPerTensor) checksums_.resize(tensors_.size());
  const std::string text = header();
  if (text.size() > kMaxHeaderBytes) {
    throw Error("the header of " + path_.string() + " needs " + std::to_string(text.size()) + " bytes for " +
                    std::to_string(tensors_.size()) + " tensors, more than the limit of " + std::to_string(kMaxHeaderBytes),
                "spread the tensors over more files");
  }
  out_.append(text);
  if (!tensors_.empty()) remaining_ = tensors_[0].num_bytes();
}

std::string SafetensorsWriter::header() const {
  const std::string where = path_.string();
  std::map<std::string, std::string> metadata = metadata_;
  if (!checksums_.empty()) {
    std::string hex = "{";
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      hex += (i ? "," : "") + json_string(tensors_[i].name, where) + ":\"" + checksum_text(checksums_[i]) + '"';
    }
    metadata[kChecksumKey] = hex + "}";
  }
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) json += json_string(key, where) + ":" + json_string(value, where) + ",";
    json.back() = '}';
    json += ",";
  }
  std::uint64_t offset = 0;
  for (const TensorSpec& tensor : tensors_) {
    json += json_string(tensor.name, where) + ":{\"dtype\":\"" + std::string(dtype_name(tensor.dtype)) + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) json += (i ? "," : "") + std::to_string(tensor.shape[i]);
    const std::uint64_t end = offset + tensor.num_bytes();
    json += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]},";
    offset = end;
  }
  if (json.size() == 1) {
    json += "}";
  } else {
    json.back() = '}';
  }
  std::uint64_t length = json.size();
  json.append((kDataAlignment - (sizeof length + length) % kDataAlignment) % kDataAlignment, ' ');
  length = json.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + json;
}

void SafetensorsWriter::append(std::string_view name, std::span<const std::byte> bytes) {
  SLUICE_CHECK(current_ < tensors_.size() && tensors_[current_].name == name,
               path_.string() + ": tensor " + std::string(name) + " out of turn; next is " +
                   (current_ < tensors_.size() ? tensors_[current_].name : std::string("none")));
  SLUICE_CHECK(bytes.size() <= remaining_, path_.string() + ": tensor " + std::string(name) + " has " + std::to_string(bytes.size()) +
                                               " bytes to write where " + std::to_string(remaining_) + " were declared");
  out_.append(bytes);
  if (!checksums_.empty()) checksums_[current_] = crc32c(bytes, checksums_[current_]);
  remaining_ -= bytes.size();
  if (remaining_ == 0 && ++current_ < tensors_.size()) remaining_ = tensors_[current_].num_bytes();
}

void SafetensorsWriter::finish() {
  SLUICE_CHECK(current_ == tensors_.size(),
               path_.string() + ": only " + std::to_string(current_) + " of " + std::to_string(tensors_.size()) + " tensors are written");
  if (!checksums_.empty()) out_.overwrite_start(header());
  out_.commit();
}

void write_safetensors(const fs::path& path, const std::vector<TensorSpec>& tensors, const TensorSource& source,
                       const std::map<std::string, std::string>& metadata, SafetensorsWriter::Checksums checksums,
                       WriteObserver* observer) {
  SafetensorsWriter writer(path, tensors, metadata, checksums, observer);
  for (std::size_t i = 0; i < tensors.size(); ++i) writer.append(tensors[i].name, source(i));
  writer.finish();
}

}  // namespace sluice::checkpoint
