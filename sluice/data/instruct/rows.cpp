#include "sluice/data/instruct/rows.h"

#include "sluice/base/error.h"
#include "sluice/data/instruct/byte_stream.h"

namespace sluice::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF", kParquet = "PAR1", kEncryptedParquet = "PARE";

// Of files that people take for one of ours.
struct Foreign {
  std::string_view magic, kind;
};
constexpr Foreign kForeign[] = {{"ARROW1", "an Arrow IPC (Feather) file"},
                                {"ORC", "an ORC file"},
                                {"Obj\x01", "an Avro file"},
                                {"\xFF\xFF\xFF\xFF", "an Arrow stream"},
                                {"PK\x03\x04", "a zip archive"},
                                {"SQLite format 3", "an SQLite database"},
                                {"\x28\xB5\x2F\xFD", "compressed by zstd"},
                                {"BZh", "compressed by bzip2"},
                                {"\xFD"
                                 "7zXZ",
                                 "compressed by xz"}};

std::string beginning(const fs::path& path) {
  std::string bytes;
  for (ByteStream stream(path); bytes.size() < 64 && stream.peek() != ByteStream::kEnd;) bytes.push_back(static_cast<char>(stream.next()));
  return bytes;
}

}  // namespace

std::unique_ptr<RowSource> open_rows(const fs::path& path, const WantedColumns& wanted) {
  const std::string bytes = beginning(path);
  if (bytes.starts_with(kParquet) || bytes.starts_with(kEncryptedParquet) || path.extension() == ".parquet")
    return open_parquet(path, wanted);
  for (const Foreign& foreign : kForeign) {
    if (bytes.starts_with(foreign.magic))
      throw Error(path.string() + " is " + std::string(foreign.kind), "give the rows as .jsonl, .json or .parquet");
  }
  if (path.extension() == ".csv" || path.extension() == ".tsv")
    throw Error(path.string() + " is a table of separated texts", "write one JSON object a line (.jsonl), or a .parquet file");
  const std::size_t skipped = bytes.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  const std::size_t first = bytes.find_first_not_of(" \t\r\n", skipped);
  const bool array = first != std::string::npos && bytes[first] == '[';
  return array ? open_json_array(path) : open_json_lines(path);
}

std::vector<OrderedJson> first_rows(const fs::path& path, std::size_t count) {
  std::vector<OrderedJson> rows;
  OrderedJson row;
  for (const auto source = open_rows(path); rows.size() < count && source->next(row);) rows.push_back(std::move(row));
  return rows;
}

}  // namespace sluice::data
