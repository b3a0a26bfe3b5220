// Rows of Parquet files, by Arrow's C++ library.
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/data/instruct/arrow_values.h"
#include "sluice/data/instruct/rows.h"

namespace sluice::data {
namespace {

constexpr std::int64_t kBatchRows = 1024, kBufferBytes = 1 << 20;

[[noreturn]] void fail(const fs::path& path, std::string why) {
  if (const auto line_end = why.find('\n'); line_end != std::string::npos) why.resize(line_end);
  throw Error(path.string() + " cannot be read as Parquet: " + why, "copy or download the file again, or write its rows as .jsonl");
}

// What Arrow says, in our words where a user can know better.
void require(const arrow::Status& status, const fs::path& path) {
  if (!status.ok()) fail(path, status.message());
}

// Runs `work`; what the Parquet library throws becomes an Error.
template <class Work>
auto reading(const fs::path& path, const Work& work) {
  try {
    return work();
  } catch (const parquet::ParquetException& e) {
    fail(path, e.what());
  }
}

// Parquet begins and ends with its mark, and the length of what describes it stands before the last.
void require_whole(const fs::path& path) {
  const LineReader readable(path);  // says what is wrong when it is not
  const auto size = fs::file_size(path);
  std::ifstream in(path, std::ios::binary);
  std::string begin(4, '\0'), end(8, '\0');
  in.read(begin.data(), 4);
  if (begin != "PAR1" && begin != "PARE")
    throw Error(path.string() + " is no Parquet file: it does not begin with PAR1",
                "name the file by what it is: .jsonl, .json or .parquet");
  if (size >= 12) in.seekg(-8, std::ios::end).read(end.data(), 8);
  const std::string mark = end.substr(4);
  if (mark == "PARE") throw Error(path.string() + " is encrypted", "write it without encryption");
  std::uint32_t footer = 0;
  for (int i = 3; i >= 0; --i) footer = footer << 8 | static_cast<unsigned char>(end[static_cast<std::size_t>(i)]);
  if (mark != "PAR1" || footer + 12ull > size)
    throw Error(path.string() + " is not whole: it does not end as a Parquet file does", "copy or download the file again");
}

class ParquetRows : public RowSource {
 public:
  ParquetRows(const fs::path& path, const WantedColumns& wanted) : path_(path) {
    require_whole(path);
    reading(path, [&] { open(wanted); });
  }

  bool next(OrderedJson& row) override {
    while (at_ == batch_rows_) {
      if (!reading(path_, [&] { return next_batch(); })) return false;
    }
    row = OrderedJson::object();
    auto& members = row.get_ref<OrderedJson::object_t&>();
    members.reserve(columns_.size());
    ++row_;
    for (const ArrowColumn& column : columns_) {
      OrderedJson value = column.at(at_);
      if (!value.is_null()) members[column.name()] = std::move(value);
    }
    ++at_;
    return true;
  }
  std::string where() const override { return path_.string() + " row " + std::to_string(row_); }

 private:
  void open(const WantedColumns& wanted) {
    parquet::ReaderProperties properties(arrow::system_memory_pool());
    properties.enable_buffered_stream();
    properties.set_buffer_size(kBufferBytes);
    properties.set_page_checksum_verification(true);
    parquet::ArrowReaderProperties arrow_properties;
    arrow_properties.set_batch_size(kBatchRows);
    arrow_properties.set_pre_buffer(false);  // it keeps what it reads until the end
    auto file = arrow::io::ReadableFile::Open(path_.string(), arrow::system_memory_pool());
    require(file.status(), path_);
    parquet::arrow::FileReaderBuilder builder;
    require(builder.Open(*file, properties), path_);
    refuse_encryption(*builder.raw_reader()->metadata());
    builder.memory_pool(arrow::system_memory_pool())->properties(arrow_properties);
    require(builder.Build(&reader_), path_);
    std::vector<int> row_groups(static_cast<std::size_t>(reader_->num_row_groups()));
    for (std::size_t i = 0; i < row_groups.size(); ++i) row_groups[i] = static_cast<int>(i);
    auto batches = reader_->GetRecordBatchReader(row_groups, leaves_of(wanted));
    require(batches.status(), path_);
    batches_ = std::move(*batches);
  }

  void refuse_encryption(const parquet::FileMetaData& metadata) const {
    if (metadata.is_encryption_algorithm_set()) throw Error(path_.string() + " is encrypted", "write it without encryption");
  }

  // The numbers of the leaf columns below the columns that are wanted.
  std::vector<int> leaves_of(const WantedColumns& wanted) const {
    std::shared_ptr<arrow::Schema> schema;
    require(reader_->GetSchema(&schema), path_);
    std::vector<bool> keep;
    for (const auto& field : schema->fields()) {
      const bool named = std::ranges::find(wanted.names, field->name()) != wanted.names.end();
      const std::string beyond = type_beyond_json(*field->type());
      if (named && !beyond.empty())
        throw Error(path_.string() + ": column " + field->name() + " holds " + beyond, "write it as a text, a number, a list or a struct");
      keep.push_back(beyond.empty() && (named || wanted.names.empty()));
    }
    const parquet::SchemaDescriptor* leaves = reader_->parquet_reader()->metadata()->schema();
    std::vector<int> kept;
    for (int i = 0; i < leaves->num_columns(); ++i) {
      if (keep[static_cast<std::size_t>(leaves->group_node()->FieldIndex(*leaves->GetColumnRoot(i)))]) kept.push_back(i);
    }
    return kept;
  }

  bool next_batch() {
    std::shared_ptr<arrow::RecordBatch> batch;
    require(batches_->ReadNext(&batch), path_);
    columns_.clear();
    at_ = batch_rows_ = 0;
    if (!batch) return false;
    batch_rows_ = batch->num_rows();
    try {
      for (int i = 0; i < batch->num_columns(); ++i) columns_.emplace_back(batch->column_name(i), batch->column(i));
    } catch (const Error& error) {
      throw Error(
          path_.string() + " rows " + std::to_string(row_ + 1) + " to " + std::to_string(row_ + batch_rows_) + ": " + error.problem(),
          error.remedy());
    }
    return true;
  }

  fs::path path_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;  // refers to reader_
  std::vector<ArrowColumn> columns_;                   // of the batch that is read from
  std::int64_t at_ = 0, batch_rows_ = 0;               // in that batch
  std::int64_t row_ = 0;                               // in the file, from 1
};

}  // namespace

std::unique_ptr<RowSource> open_parquet(const fs::path& path, const WantedColumns& wanted) {
  return std::make_unique<ParquetRows>(path, wanted);
}

}  // namespace sluice::data
