#include "sluice/base/output_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "sluice/base/error.h"

namespace sluice {
namespace {

class OutputFileTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  std::int64_t num_files() const { return std::distance(fs::directory_iterator(folder_), fs::directory_iterator()); }
  const fs::path folder_ = fs::temp_directory_path() / ("sluice-output-file-" + std::to_string(getpid()));
};

TEST_F(OutputFileTest, HasAllBytesInOrderHoweverTheyCome) {
  std::string expected;
  OutputFile out(folder_ / "file");
  for (int i = 0; i < 1000; ++i) {
    const std::string piece(static_cast<std::size_t>(i * 7919 % 4000), static_cast<char>('a' + i % 26));
    out.write(piece);
    expected += piece;
  }
  const std::string large(3 << 20, 'z');  // larger than any buffer
  out.write(large);
  out.write("end");
  out.commit();
  EXPECT_EQ(read_file(folder_ / "file"), expected + large + "end");
  EXPECT_EQ(num_files(), 1);
}

TEST_F(OutputFileTest, LeavesWhatWasThereUntilItIsCommitted) {
  write_file_atomic(folder_ / "file", "old");
  {
    OutputFile out(folder_ / "file");
    out.write("new");
    EXPECT_EQ(read_file(folder_ / "file"), "old");
  }
  EXPECT_EQ(read_file(folder_ / "file"), "old");
  EXPECT_EQ(num_files(), 1);
}

TEST_F(OutputFileTest, RefusesMissingFoldersAndFolders) {
  EXPECT_THROW(OutputFile(folder_ / "nowhere" / "file"), Error);
  EXPECT_THROW(OutputFile{folder_}, Error);
  EXPECT_EQ(num_files(), 0);
}

}  // namespace
}  // namespace sluice
