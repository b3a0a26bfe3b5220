#include "sluice/data/instruct/cache.h"

#include <chrono>
#include <cstring>
#include <random>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"

namespace sluice::data {
namespace {

constexpr char kMagic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'T', 'K'};
constexpr std::uint32_t kVersion = 1;  // of the byte format

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
template <class T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::size_t filled_up(std::size_t size, std::size_t to) { return (size + to - 1) / to * to; }

}  // namespace

SampleCache::SampleCache(const fs::path& path, const std::string& key) : file_(std::make_unique<MappedFile>(path)) {
  const auto bytes = file_->bytes();
  const Error unusable(path.string() + " is not a whole file of tokenised conversations", "remove it: it is made again");
  if (bytes.size() < sizeof footer_) throw unusable;
  const std::size_t body = bytes.size() - sizeof footer_;
  std::memcpy(&footer_, bytes.data() + body, sizeof footer_);
  if (std::memcmp(footer_.magic, kMagic, sizeof kMagic) != 0 || footer_.version != kVersion) throw unusable;
  Footer zeroed = footer_;
  zeroed.checksum = 0;
  if (crc32c(as_bytes(bytes_of(zeroed)), crc32c(bytes.first(body))) != footer_.checksum) throw unusable;
  if (key.size() != sizeof footer_.key || key.compare(0, key.size(), footer_.key, sizeof footer_.key) != 0) throw unusable;
}

SampleCache::Entry SampleCache::entry(std::int64_t index) const {
  SLUICE_CHECK(index >= 0 && index < size(), "conversation " + std::to_string(index) + " of " + std::to_string(size()));
  Entry out;
  std::memcpy(&out, file_->bytes().data() + footer_.table + static_cast<std::size_t>(index) * sizeof out, sizeof out);
  return out;
}

Sample SampleCache::at(std::int64_t index) const {
  const Entry stored = entry(index);
  const std::byte* at = file_->bytes().data() + stored.tokens;
  Sample sample;
  sample.ids.resize(stored.length);
  std::memcpy(sample.ids.data(), at, stored.length * sizeof(std::int32_t));
  at += stored.length * sizeof(std::int32_t);
  sample.real.assign(stored.length, 1);
  sample.labels.assign(stored.length, kNotTrained);
  sample.prompt_length = static_cast<std::int32_t>(stored.length);
  for (std::size_t i = stored.length; i-- > 0;) {
    if (at[i] == std::byte{0}) continue;
    sample.labels[i] = sample.ids[i];
    sample.prompt_length = static_cast<std::int32_t>(i);
  }
  at += filled_up(stored.length, sizeof(float));
  if (stored.has_weights != 0) {
    sample.weights.resize(stored.length);
    std::memcpy(sample.weights.data(), at, stored.length * sizeof(float));
  }
  sample.expert_label = stored.expert_label;
  return sample;
}

std::string SampleCache::place(std::int64_t index) const {
  const Entry stored = entry(index);
  return {reinterpret_cast<const char*>(file_->bytes().data()) + stored.place, stored.place_length};
}

void remove_abandoned(const fs::path& folder) {
  const auto a_day_ago = fs::file_time_type::clock::now() - std::chrono::hours(24);
  std::error_code gone;  // what another process removes first, or what is another user's, is not ours to mend
  for (fs::directory_iterator at(folder, gone), end; !gone && at != end; at.increment(gone)) {
    if (at->path().filename().string().find(".tokens.") == std::string::npos) continue;
    std::error_code failed;
    const auto written = fs::last_write_time(at->path(), failed);
    if (!failed && written < a_day_ago) fs::remove(at->path(), failed);
  }
}

SampleCacheWriter::SampleCacheWriter(const fs::path& path)
    : path_(path),
      own_(path.string() + "." + std::to_string(std::random_device()()) + std::to_string(std::random_device()())),
      out_(own_) {}

void SampleCacheWriter::write(std::string_view bytes) {
  out_.write(bytes);
  checksum_ = crc32c(as_bytes(bytes), checksum_);
  offset_ += bytes.size();
}

void SampleCacheWriter::add(const Sample& sample, std::int64_t row, const std::string& place) {
  const std::size_t length = sample.ids.size();
  entries_.push_back({offset_, places_.size(), row, static_cast<std::uint32_t>(length), static_cast<std::uint32_t>(place.size()),
                      sample.expert_label, sample.weights.empty() ? 0u : 1u});
  places_ += place;
  std::vector<char> trained(filled_up(length, sizeof(float)), 0);
  for (std::size_t i = 0; i < length; ++i) trained[i] = sample.labels[i] != kNotTrained;
  write(bytes_of(sample.ids));
  write(bytes_of(trained));
  write(bytes_of(sample.weights));
}

void SampleCacheWriter::commit(const ConversationCounts& counts, const std::string& key) {
  SampleCache::Footer footer{};
  SLUICE_CHECK(key.size() == sizeof footer.key, "a key has 64 digits");
  const std::uint64_t places = offset_;
  write(places_);
  footer.table = offset_;
  for (SampleCache::Entry& entry : entries_) entry.place += places;
  write(bytes_of(entries_));
  std::memcpy(footer.magic, kMagic, sizeof kMagic);
  footer.version = kVersion;
  std::memcpy(footer.key, key.data(), sizeof footer.key);
  footer.samples = static_cast<std::int64_t>(entries_.size());
  footer.counts = counts;
  footer.checksum = crc32c(as_bytes(bytes_of(footer)), checksum_);
  out_.write(bytes_of(footer));
  out_.commit();
  fs::rename(own_, path_);
}

}  // namespace sluice::data
