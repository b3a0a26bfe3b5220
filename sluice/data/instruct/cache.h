// Tokenised conversations in a file that is mapped: tokenising is done once for equal bytes, tokenizer, template and settings.
//
// Byte format, little-endian: the samples' tokens one after the other (int32 ids, then one byte a token for whether it is trained on,
// filled up to 4, then float32 weights where the sample has them); the samples' places in their own file, one text after the other; from
// `table` on an Entry for each sample; last the Footer.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/base/output_file.h"
#include "sluice/data/instruct/counts.h"
#include "sluice/data/sample.h"

namespace sluice::data {

class SampleCache {
 public:
  // Error when the file is not there, not whole, of another version, or another's than `key`.
  SampleCache(const fs::path& path, const std::string& key);

  std::int64_t size() const { return footer_.samples; }
  const ConversationCounts& counts() const { return footer_.counts; }
  Sample at(std::int64_t index) const;  // thread-safe
  std::int64_t length(std::int64_t index) const { return entry(index).length; }
  std::int64_t row(std::int64_t index) const { return entry(index).row; }  // number of the file's row that it comes from
  std::string place(std::int64_t index) const;                             // ":12": what stands behind the file's name in errors

 private:
  friend class SampleCacheWriter;
  struct Entry {
    std::uint64_t tokens, place;  // where they begin in the file
    std::int64_t row;
    std::uint32_t length, place_length;
    std::int32_t expert_label;
    std::uint32_t has_weights;
  };
  struct Footer {
    char magic[8];
    std::uint32_t version, checksum;  // crc32c of all bytes before the footer, and of the footer with 0 in this place
    char key[64];
    std::int64_t samples;
    std::uint64_t table;
    ConversationCounts counts;
  };
  Entry entry(std::int64_t index) const;

  std::unique_ptr<MappedFile> file_;
  Footer footer_{};
};

// Removes what writers that were killed left in a folder of caches: unfinished files that nobody has written to for a day.
void remove_abandoned(const fs::path& folder);

// Writes one, whole or not at all. Several may write the same one at a time, in whatever threads, processes and machines: the last stays.
class SampleCacheWriter {
 public:
  explicit SampleCacheWriter(const fs::path& path);
  // A sample of one document without filling.
  void add(const Sample& sample, std::int64_t row, const std::string& place);
  void commit(const ConversationCounts& counts, const std::string& key);

 private:
  void write(std::string_view bytes);

  fs::path path_, own_;  // `own_` has a name that nobody else writes to
  OutputFile out_;
  std::uint64_t offset_ = 0;
  std::uint32_t checksum_ = 0;
  std::vector<SampleCache::Entry> entries_;
  std::string places_;
};

}  // namespace sluice::data
