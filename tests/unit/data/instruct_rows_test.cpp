#include <gtest/gtest.h>
#include <zlib.h>

#include "sluice/base/error.h"
#include "sluice/data/instruct/rows.h"
#include "tests/unit/data/scratch_rows.h"

namespace sluice::data {
namespace {

std::string gzipped(const std::string& bytes, const fs::path& scratch) {
  gzFile file = gzopen(scratch.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  return read_file(scratch);
}

// "where row" of each row, without the file's name.
std::vector<std::string> rows_of(const fs::path& path) {
  std::vector<std::string> rows;
  OrderedJson row;
  for (const auto source = open_rows(path); source->next(row);)
    rows.push_back(source->where().substr(path.string().size()) + " " + row.dump());
  return rows;
}

std::vector<std::string> rows_in(const std::string& bytes) { return rows_of(ScratchRows(bytes).path()); }

std::string complaint(const std::string& bytes, const std::string& name = "rows.json") {
  const ScratchRows folder("");
  write_file_atomic(folder.beside(name), bytes);
  try {
    rows_of(folder.beside(name));
  } catch (const Error& error) {
    const std::string what = error.what(), file = folder.beside(name).string();
    EXPECT_TRUE(what.starts_with(file)) << what;
    return what.substr(file.size());
  }
  return "";
}

TEST(JsonRowsOfAFile, AreLinesOrTheElementsOfAnArrayEachWithItsPlace) {
  EXPECT_EQ(rows_in("\xEF\xBB\xBF{\"a\":1}\r\n\n  \n{\"a\":[{\"b\":\"}\"}]}"),
            (std::vector<std::string>{":1 {\"a\":1}", ":4 {\"a\":[{\"b\":\"}\"}]}"}));
  EXPECT_EQ(rows_in("[{\"a\":1},{\"a\":2}]"), (std::vector<std::string>{":1 (row 1) {\"a\":1}", ":1 (row 2) {\"a\":2}"}));
  EXPECT_EQ(rows_in("\xEF\xBB\xBF [\n {\n  \"a\": \"]} \\\"{\"\n },\n\n {\"z\": [[]], \"a\": null}\n]\n\n"),
            (std::vector<std::string>{":2 (row 1) {\"a\":\"]} \\\"{\"}", ":6 (row 2) {\"z\":[[]],\"a\":null}"}));
  EXPECT_TRUE(rows_in(" [ ] ").empty());
  EXPECT_TRUE(rows_in("").empty());
}

TEST(JsonRowsOfAFile, MayBeObjectsOverSeveralLines) {
  EXPECT_EQ(rows_in("{\n  \"a\": {\n    \"b\": \"}\"\n  }\n}\n{\"a\":2}\n"), (std::vector<std::string>{":1 {\"a\":{\"b\":\"}\"}}", ":6 {\"a\":2}"}));
  EXPECT_NE(complaint("{\n  \"a\": 1\n").find(":1: the file ends inside this row"), std::string::npos);
}

TEST(JsonRowsOfAFile, AreTheSameGzipped) {
  const ScratchRows folder("");
  for (const std::string bytes : {"{\"a\":1}\n{\"a\":2}\n", "[{\"a\":1},\n{\"a\":2}]"}) {
    write_file_atomic(folder.beside("rows.gz"), gzipped(bytes, folder.beside("scratch")));
    EXPECT_EQ(rows_of(folder.beside("rows.gz")), rows_in(bytes));
  }
}

TEST(JsonRowsOfAFile, AreReadAcrossThePiecesThatTheFileIsReadIn) {
  std::string lines, array = "[";
  for (int i = 0; i < 3000; ++i) {
    const std::string row =
        "{\"number\":" + std::to_string(i) + ",\"text\":\"" + std::string(static_cast<std::size_t>(i % 701), 'x') + "\"}";
    lines += row + "\n";
    array += (i ? ",\n" : "") + row;
  }
  const auto from_lines = rows_in(lines), from_array = rows_in(array + "]");
  ASSERT_EQ(from_lines.size(), 3000u);
  ASSERT_EQ(from_array.size(), 3000u);
  for (std::size_t i = 0; i < 3000; ++i) {
    EXPECT_EQ(from_lines[i].substr(from_lines[i].find('{')), from_array[i].substr(from_array[i].find('{')));
    EXPECT_TRUE(from_lines[i].starts_with(":" + std::to_string(i + 1) + " {\"number\":" + std::to_string(i) + ","));
  }
}

TEST(JsonRowsOfAFile, SayWhereTheyAreBroken) {
  EXPECT_NE(complaint("{\"a\":1}\n{\"a\":").find(":2: not valid JSON"), std::string::npos);
  EXPECT_NE(complaint("{\"a\":1}\n\"b\"\n").find(":2: the row is a text, not an object"), std::string::npos);
  EXPECT_NE(complaint("[{\"a\":1},\n {\"a\":").find(":2 (row 2): the file ends inside this row"), std::string::npos);
  EXPECT_NE(complaint("[{\"a\":1},\n {\"a\" 2}]").find(":2 (row 2): not valid JSON"), std::string::npos);
  EXPECT_NE(complaint("[{\"a\":1}\n {\"a\":2}]").find(":2: a comma is missing after the row (after row 1)"), std::string::npos);
  EXPECT_NE(complaint("[{\"a\":1},\n]").find(":2: a comma stands before the end"), std::string::npos);
  EXPECT_NE(complaint("[{\"a\":1},\n").find("the file ends inside this row"), std::string::npos);
  EXPECT_NE(complaint("[{\"a\":1}]\n[]").find(":2: the file goes on after the end of its list"), std::string::npos);
  EXPECT_NE(complaint("[1, 2]").find(":1 (row 1): the row is a number, not an object"), std::string::npos);
  EXPECT_NE(complaint("[\"a]\", 2]").find("the row is a text"), std::string::npos);
  EXPECT_NE(complaint("{\"a\":" + std::string(600, '[') + std::string(600, ']') + "}").find("nested more than 512 deep"),
            std::string::npos);
  EXPECT_NE(complaint("[{\"a\":\"\xFF\"}]").find("not valid JSON"), std::string::npos);
}

TEST(JsonRowsOfAFile, SayThatCompressedDataEndsEarly) {
  const ScratchRows folder("");
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "{\"a\":" + std::to_string(i * 7919) + "}\n";
  const std::string whole = gzipped(text, folder.beside("scratch"));
  EXPECT_NE(complaint(whole.substr(0, whole.size() / 2)).find("its compressed data ends early"), std::string::npos);
}

TEST(Rows, OfForeignFilesAreRefusedByName) {
  EXPECT_NE(complaint("ARROW1\0\0", "rows.feather").find("is an Arrow IPC"), std::string::npos);
  EXPECT_NE(complaint("a,b\n1,2\n", "rows.csv").find("separated"), std::string::npos);
  EXPECT_NE(complaint("\x28\xB5\x2F\xFDzstd", "rows.jsonl.zst").find("zstd"), std::string::npos);
  EXPECT_NE(complaint("{\"a\":1}\n", "rows.parquet").find("is no Parquet file"), std::string::npos);
  EXPECT_THROW(open_rows("/nowhere/rows.json"), Error);
  EXPECT_THROW(open_rows("/nowhere/rows.parquet"), Error);
  EXPECT_THROW(open_rows("/tmp"), Error);
}

}  // namespace
}  // namespace sluice::data
