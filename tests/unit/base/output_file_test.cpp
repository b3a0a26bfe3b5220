#include "sluice/base/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

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
  EXPECT_THROW(OutputFile{""}, Error);
  EXPECT_EQ(num_files(), 0);
}

TEST_F(OutputFileTest, ReplacesTheFileThatALinkNamesAndKeepsTheLink) {
  fs::create_directories(folder_ / "elsewhere");
  write_file_atomic(folder_ / "elsewhere" / "file", "old");
  fs::create_symlink("elsewhere/file", folder_ / "link");
  fs::create_symlink("link", folder_ / "link_to_link");
  write_file_atomic(folder_ / "link_to_link", "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "link_to_link"));
  EXPECT_EQ(read_file(folder_ / "elsewhere" / "file"), "new");

  fs::create_symlink("elsewhere/yet_to_be_made", folder_ / "dangling");
  write_file_atomic(folder_ / "dangling", "made");
  EXPECT_TRUE(fs::is_symlink(folder_ / "dangling"));
  EXPECT_EQ(read_file(folder_ / "elsewhere" / "yet_to_be_made"), "made");

  fs::create_symlink("circle", folder_ / "circle");
  EXPECT_THROW(OutputFile(folder_ / "circle"), Error);
}

TEST_F(OutputFileTest, KeepsThePermissionsOfAFileThatItReplaces) {
  write_file_atomic(folder_ / "file", "old");
  fs::permissions(folder_ / "file", fs::perms::owner_read | fs::perms::owner_write);
  write_file_atomic(folder_ / "file", "new");
  EXPECT_EQ(fs::status(folder_ / "file").permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(OutputFileTest, WritesThroughToAPipe) {
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  std::string arrived;
  std::thread reader([&] { arrived = read_file(folder_ / "pipe"); });
  require_writable(folder_ / "pipe");  // must not wake the reader
  OutputFile out(folder_ / "pipe");
  out.write("through");
  out.commit();
  reader.join();
  EXPECT_EQ(arrived, "through");
  EXPECT_TRUE(fs::is_fifo(folder_ / "pipe"));
  EXPECT_EQ(num_files(), 1);
}

// As a root user's /dev/stdout, which a rename would replace for the whole machine.
TEST_F(OutputFileTest, WritesThroughToADescriptorBehindALink) {
  const FileDescriptor open_file(folder_ / "file", O_RDWR | O_CREAT | O_TRUNC);
  ASSERT_EQ(write(open_file.get(), "before ", 7), 7);
  const fs::path link = folder_ / "stdout";
  fs::create_symlink("/proc/self/fd/" + std::to_string(open_file.get()), link);
  OutputFile out(link);
  out.write("after");
  out.commit();
  ASSERT_EQ(write(open_file.get(), " end", 4), 4);
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(read_file(folder_ / "file"), "before after end");
  EXPECT_THROW(require_replaceable(link), Error);
}

TEST_F(OutputFileTest, SaysBeforeTheWorkWhatItCouldNotWriteAfterIt) {
  EXPECT_THROW(require_writable(folder_ / "nowhere" / "file"), Error);
  EXPECT_THROW(require_writable(folder_), Error);
  EXPECT_THROW(require_writable("/dev/fd/" + std::to_string(1 << 19)), Error);
  require_writable(folder_ / "file");
  require_writable("/dev/null");
  require_writable_folder(folder_ / "to" / "be" / "made");
  EXPECT_EQ(num_files(), 0) << "asking leaves no trace";
  write_file_atomic(folder_ / "file", "");
  EXPECT_THROW(require_writable_folder(folder_ / "file" / "below"), Error);
  EXPECT_EQ(require_replaceable(folder_ / "file"), folder_ / "file");
  EXPECT_THROW(require_replaceable("/dev/null"), Error);
}

}  // namespace
}  // namespace sluice
