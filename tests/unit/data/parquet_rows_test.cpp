#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/util/secure_string.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>
#include <parquet/encryption/encryption.h>

#include "sluice/base/error.h"
#include "sluice/data/instruct/rows.h"
#include "tests/unit/data/instruct_file.h"

namespace sluice::data {
namespace {

template <class Builder, class Value>
std::shared_ptr<arrow::Array> array_of(const std::vector<Value>& values) {
  Builder builder;
  for (const Value& value : values) EXPECT_TRUE(builder.Append(value).ok());
  return *builder.Finish();
}
const auto texts = array_of<arrow::StringBuilder, std::string>;

void write(const fs::path& path, const std::vector<std::string>& names, const std::vector<std::shared_ptr<arrow::Array>>& columns,
           std::int64_t row_group_rows = 1024,
           const std::shared_ptr<parquet::WriterProperties>& properties = parquet::default_writer_properties()) {
  std::vector<std::shared_ptr<arrow::Field>> fields;
  for (std::size_t i = 0; i < names.size(); ++i) fields.push_back(arrow::field(names[i], columns[i]->type()));
  const auto out = *arrow::io::FileOutputStream::Open(path.string());
  const auto stored = parquet::ArrowWriterProperties::Builder().store_schema()->build();  // dictionaries and large texts come back as such
  const auto table = arrow::Table::Make(arrow::schema(fields), columns);
  const arrow::Status status = parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), out, row_group_rows, properties, stored);
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_TRUE(out->Close().ok());
}

std::vector<std::string> rows_of(const fs::path& path, const WantedColumns& wanted = {}) {
  std::vector<std::string> rows;
  OrderedJson row;
  for (const auto source = open_rows(path, wanted); source->next(row);)
    rows.push_back(source->where().substr(path.string().size()) + ": " + row.dump());
  return rows;
}

std::string complaint(const fs::path& path, const WantedColumns& wanted = {}) {
  try {
    rows_of(path, wanted);
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with(path.string())) << error.what();
    return std::string(error.what()).substr(path.string().size());
  }
  return "";
}

// Two turns a row, as Hugging Face's libraries store messages.
std::shared_ptr<arrow::Array> two_messages_each(int num_rows) {
  std::vector<std::string> roles, contents;
  std::vector<int> offsets{0};
  for (int i = 0; i < num_rows; ++i) {
    roles.insert(roles.end(), {"user", "assistant"});
    contents.insert(contents.end(), {"question " + std::to_string(i), "answer " + std::to_string(i)});
    offsets.push_back(2 * (i + 1));
  }
  const auto messages = *arrow::StructArray::Make({texts(roles), texts(contents)}, std::vector<std::string>{"role", "content"});
  return *arrow::ListArray::FromArrays(*array_of<arrow::Int32Builder, int>(offsets), *messages);
}

TEST(ParquetRows, OfEveryTypeThatJsonHasComeAsItsValues) {
  const ScratchRows folder("");
  arrow::StringBuilder with_null;
  ASSERT_TRUE(with_null.Append("caf\u00e9").ok() && with_null.AppendNull().ok());
  arrow::StringDictionaryBuilder dictionary;
  ASSERT_TRUE(dictionary.Append("b").ok() && dictionary.Append("a").ok());
  const auto pair = *arrow::StructArray::Make({*with_null.Finish(), array_of<arrow::DoubleBuilder, double>({0.5, -2})},
                                              std::vector<std::string>{"text", "number"});
  write(folder.beside("rows.parquet"), {"large", "dictionary", "struct", "whole", "yes", "messages"},
        {array_of<arrow::LargeStringBuilder, std::string>({"x", ""}), *dictionary.Finish(), pair,
         array_of<arrow::Int64Builder, std::int64_t>({-5, 1LL << 60}), array_of<arrow::BooleanBuilder, bool>({true, false}),
         two_messages_each(2)});
  EXPECT_EQ(
      rows_of(folder.beside("rows.parquet")),
      (std::vector<std::string>{
          " row 1: {\"large\":\"x\",\"dictionary\":\"b\",\"struct\":{\"text\":\"caf\u00e9\",\"number\":0.5},\"whole\":-5,\"yes\":true,"
          "\"messages\":[{\"role\":\"user\",\"content\":\"question 0\"},{\"role\":\"assistant\",\"content\":\"answer 0\"}]}",
          " row 2: {\"large\":\"\",\"dictionary\":\"a\",\"struct\":{\"number\":-2.0},\"whole\":1152921504606846976,\"yes\":false,"
          "\"messages\":[{\"role\":\"user\",\"content\":\"question 1\"},{\"role\":\"assistant\",\"content\":\"answer 1\"}]}"}));
  EXPECT_EQ(rows_of(folder.beside("rows.parquet"), {{"whole", "large", "absent"}})[1],
            " row 2: {\"large\":\"\",\"whole\":1152921504606846976}");
}

TEST(ParquetRows, OfManyRowGroupsComeInOrderAndAsConversations) {
  const ScratchRows folder("");
  constexpr int kRows = 5000;
  write(folder.beside("rows.parquet"), {"messages"}, {two_messages_each(kRows)}, 700);
  const auto rows = conversations_of(folder.beside("rows.parquet"), config_of(Format::kMessages));
  ASSERT_EQ(rows.size(), static_cast<std::size_t>(kRows));
  for (int i = 0; i < kRows; ++i) {
    const InstructRow& row = rows[static_cast<std::size_t>(i)];
    EXPECT_EQ(row.conversation.messages[0]["content"], "question " + std::to_string(i));
    EXPECT_EQ(row.conversation.messages[1]["content"], "answer " + std::to_string(i));
    EXPECT_TRUE(row.where.ends_with("rows.parquet row " + std::to_string(i + 1)));
  }
}

TEST(ParquetRows, AreRefusedWithTheReasonWhenTheFileIsNotWholeOrForeign) {
  const ScratchRows folder("");
  const fs::path path = folder.beside("rows.parquet");
  write(path, {"prompt"}, {texts(std::vector<std::string>(3000, "some text that compresses well"))}, 1000);
  const std::string whole = read_file(path);
  for (const std::size_t size : {0ul, 4ul, 11ul, whole.size() / 2, whole.size() - 1}) {
    write_file_atomic(path, whole.substr(0, size));
    EXPECT_NE(complaint(path), "") << size;
  }
  EXPECT_NE(complaint(path).find("is not whole"), std::string::npos) << complaint(path);
  std::string broken = whole;
  for (std::size_t i = 8; i < 60; ++i) broken[i] = static_cast<char>(broken[i] ^ 0x5a);  // the first page's header and bytes
  write_file_atomic(path, broken);
  EXPECT_NE(complaint(path).find("cannot be read as Parquet"), std::string::npos) << complaint(path);
  broken = whole;
  for (std::size_t i = whole.size() - 40; i < whole.size() - 8; ++i) broken[i] = '\xff';  // the footer
  write_file_atomic(path, broken);
  EXPECT_NE(complaint(path).find("cannot be read as Parquet"), std::string::npos) << complaint(path);
}

TEST(ParquetRows, NeverCrashOnAFileWithFlippedBytes) {
  const ScratchRows folder("");
  const fs::path path = folder.beside("rows.parquet");
  write(path, {"messages"}, {two_messages_each(300)}, 100);
  const std::string whole = read_file(path);
  int refused = 0;
  for (std::size_t i = 0; i < whole.size(); i += 97) {
    std::string broken = whole;
    broken[i] = static_cast<char>(broken[i] ^ 0x41);
    write_file_atomic(path, broken);
    refused += !complaint(path).empty();
  }
  EXPECT_GT(refused, 3);
}

TEST(ParquetRows, OfAnEncryptedFileAreRefusedAsSuch) {
  const ScratchRows folder("");
  const fs::path path = folder.beside("rows.parquet");
  for (const bool plaintext_footer : {false, true}) {
    parquet::FileEncryptionProperties::Builder encryption{arrow::util::SecureString(std::string("0123456789012345"))};
    if (plaintext_footer) encryption.set_plaintext_footer();
    write(path, {"prompt"}, {texts({"a", "b"})}, 1024, parquet::WriterProperties::Builder().encryption(encryption.build())->build());
    EXPECT_NE(complaint(path).find("is encrypted"), std::string::npos) << complaint(path);
  }
}

TEST(ParquetRows, RefuseATypeThatJsonCannotHoldOnlyWhereItIsAskedFor) {
  const ScratchRows folder("");
  const fs::path path = folder.beside("rows.parquet");
  write(path, {"prompt", "image"}, {texts({"a"}), array_of<arrow::BinaryBuilder, std::string>({"\xff\xfe"})});
  EXPECT_EQ(rows_of(path), (std::vector<std::string>{" row 1: {\"prompt\":\"a\"}"}));
  EXPECT_NE(complaint(path, {{"image"}}).find("column image holds binary"), std::string::npos);
  write(path, {"prompt"}, {texts({"good", "bad \xff"})});
  EXPECT_NE(complaint(path).find("rows 1 to 2: column prompt holds texts that are not UTF-8"), std::string::npos) << complaint(path);
}

TEST(ParquetRows, NameTheRowWithAMistake) {
  const ScratchRows folder("");
  const fs::path path = folder.beside("rows.parquet");
  write(path, {"prompt", "response"}, {texts({"a", "b", "c"}), texts({"x", "y", " "})}, 2);
  try {
    conversations_of(path, config_of(Format::kPromptResponse));
    FAIL() << "an empty answer was taken";
  } catch (const Error& error) {
    EXPECT_TRUE(error.problem().starts_with(path.string() + " row 3: ")) << error.what();
  }
}

}  // namespace
}  // namespace sluice::data
