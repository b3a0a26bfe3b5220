#include "sluice/checkpoint/torch_save.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "scratch.h"
#include "sluice/checkpoint/pickle_writer.h"
#include "sluice/checkpoint/safetensors_writer.h"

namespace sluice::checkpoint {
namespace {

using Root = TorchArchiveWriter::Root;

std::span<const std::byte> as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string zip_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string bytes;
  ZipWriter zip([&](std::span<const std::byte> more) { bytes.append(reinterpret_cast<const char*>(more.data()), more.size()); });
  for (const auto& [name, content] : files) zip.add(name, content);
  zip.finish();
  return bytes;
}

// An archive of two tensors; the first comes in two pieces.
std::string two_tensors() {
  std::string bytes;
  TorchArchiveWriter out(Root::kDict, {{"a", DType::kF32, {2, 3}}, {"none", DType::kBF16, {0, 4}}, {"é", DType::kF8E4M3, {5}}},
                         [&](std::span<const std::byte> more) { bytes.append(reinterpret_cast<const char*>(more.data()), more.size()); });
  const std::vector<float> a = {0, 1, 2, 3, 4, 5};
  out.append(bytes_of(a).first(9));
  out.append(bytes_of(a).subspan(9));
  out.append(as_bytes("12345"));
  out.finish();
  return bytes;
}

TEST(ZipArchive, GivesBackWhatWasWrittenAligned) {
  const std::string bytes = zip_of({{"x/a", "one"}, {"x/b", ""}, {"x/c", std::string(1000, 'c')}});
  const auto entries = read_zip(as_bytes(bytes), "a.zip");
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "x/a");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(entries[0].bytes.data()), entries[0].bytes.size()), "one");
  EXPECT_TRUE(entries[1].bytes.empty());
  EXPECT_EQ(entries[2].bytes.size(), 1000u);
  for (const ZipEntry& entry : entries) EXPECT_EQ((entry.bytes.data() - as_bytes(bytes).data()) % 64, 0);
  const std::string commented = bytes.substr(0, bytes.size() - 2) + std::string("\x02\0ok", 4);
  EXPECT_EQ(read_zip(as_bytes(commented), "a.zip").size(), 3u);
}

TEST(ZipArchive, ReadsItsOwnArchivesPastFourGigabytes) {
  const ScratchFolder folder;
  const fs::path path = folder / "large.zip";
  const std::uint64_t large = (std::uint64_t{1} << 32) + 5;
  {
    // Zeros are left out of the file, which is sparse.
    const FileDescriptor file(path, O_WRONLY | O_CREAT);
    const std::vector<std::byte> zeros(std::size_t{1} << 22);
    std::uint64_t position = 0;
    ZipWriter zip([&](std::span<const std::byte> bytes) {
      if (bytes.data() != zeros.data()) {
        EXPECT_EQ(pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(position)), static_cast<ssize_t>(bytes.size()));
      }
      position += bytes.size();
    });
    zip.begin("x/large", large);
    for (std::uint64_t left = large; left > 0;) {
      const std::uint64_t count = std::min<std::uint64_t>(left, zeros.size());
      zip.append(std::span(zeros).first(count));
      left -= count;
    }
    zip.add("x/after", "here");
    zip.finish();
  }
  const MappedFile file(path);
  const auto entries = read_zip(file.bytes(), "large.zip");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].bytes.size(), large);
  EXPECT_EQ(std::memcmp(entries[1].bytes.data(), "here", 4), 0);
}

TEST(ZipArchive, RefusesWhatTorchNeverWrites) {
  const std::string good = zip_of({{"x/a", "one"}});
  const auto with = [&](std::size_t from_end, char value) {  // a byte of the directory, which is 46 + 3 bytes before the end record of 22
    std::string bytes = good;
    bytes[bytes.size() - 22 - 49 + from_end] = value;
    return bytes;
  };
  const auto message = [](const std::string& bytes) { return error_of([&] { read_zip(as_bytes(bytes), "a.zip"); }); };
  EXPECT_NE(message("").find("too few"), std::string::npos);
  EXPECT_NE(message(std::string(100, 'x')).find("no zip directory"), std::string::npos);
  EXPECT_NE(message(with(10, 8)).find("\"x/a\" is compressed"), std::string::npos);
  EXPECT_NE(message(with(8, 9)).find("\"x/a\" is encrypted"), std::string::npos);
  EXPECT_NE(message(with(20, 2)).find("two sizes"), std::string::npos);
  EXPECT_NE(message(with(42, 1)).find("does not begin where"), std::string::npos);
  EXPECT_NE(message(with(44, 1)).find("but the archive has"), std::string::npos);
}

TEST(TorchSave, ReadsItsOwnArchive) {
  const std::string bytes = two_tensors();
  const TorchArchive archive(as_bytes(bytes), "a.pt");
  const PickleValue* a = archive.root().find("a");
  ASSERT_TRUE(a && TorchArchive::is_tensor(*a));
  const StridedTensor tensor = archive.tensor(*a);
  EXPECT_EQ(tensor.dtype, DType::kF32);
  EXPECT_EQ(tensor.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_TRUE(tensor.is_contiguous());
  EXPECT_EQ(values_of<float>(tensor.bytes), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(archive.tensor(*archive.root().find("é")).dtype, DType::kF8E4M3);
  EXPECT_TRUE(archive.tensor(*archive.root().find("none")).bytes.empty());
}

TEST(TorchSave, CopiesABoxOfATransposedTensor) {
  const std::vector<float> stored = {0, 1, 2, 3, 4, 5};  // [2, 3], seen as [3, 2]
  const StridedTensor tensor{DType::kF32, {3, 2}, {1, 3}, bytes_of(stored)};
  EXPECT_FALSE(tensor.is_contiguous());
  std::vector<float> out(4);
  copy_box(tensor, {{1, 0}, {2, 2}}, std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, (std::vector<float>{1, 4, 2, 5}));
}

// data.pkl of a call _rebuild_tensor_v2(storage "0" of floats, offset, shape, strides) beside 24 bytes of data.
std::string tensor_with(std::int64_t offset, const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides) {
  PickleWriter out;
  const auto numbers = [&](const std::vector<std::int64_t>& list) {
    out.mark();
    for (const std::int64_t number : list) out.integer(number);
    out.tuple();
  };
  out.global("torch._utils", "_rebuild_tensor_v2");
  out.mark();
  out.mark();
  out.text("storage");
  out.global("torch", "FloatStorage");
  out.text("0");
  out.tuple();
  out.persistent();
  out.integer(offset);
  numbers(shape);
  numbers(strides);
  out.tuple();
  out.call();
  return zip_of({{"x/data.pkl", out.finish()}, {"x/data/0", std::string(24, '\0')}});
}

TEST(TorchSave, RefusesTensorsOutsideTheirStorage) {
  const std::int64_t huge = std::int64_t{1} << 62;
  const auto message = [](const std::string& bytes) {
    return error_of([&] {
      const TorchArchive archive(as_bytes(bytes), "a.pt");
      archive.tensor(archive.root());
    });
  };
  const std::string good = tensor_with(2, {2, 2}, {2, 1});
  EXPECT_EQ(TorchArchive(as_bytes(good), "a.pt").tensor(TorchArchive(as_bytes(good), "a.pt").root()).bytes.size(), 16u);
  EXPECT_NE(message(tensor_with(3, {2, 2}, {2, 1})).find("outside its storage of 6 elements"), std::string::npos);
  EXPECT_NE(message(tensor_with(0, {2, 2}, {5, 1})).find("outside"), std::string::npos);
  EXPECT_NE(message(tensor_with(6, {1}, {1})).find("outside"), std::string::npos);
  EXPECT_NE(message(tensor_with(huge, {1}, {1})).find("outside"), std::string::npos);
  EXPECT_NE(message(tensor_with(0, {2, 2}, {huge, huge})).find("outside"), std::string::npos);
  EXPECT_NE(message(tensor_with(0, {huge, 4}, {0, 0})).find("outside"), std::string::npos);
  EXPECT_NE(message(tensor_with(0, {1000}, {0})).find("more elements than its storage"), std::string::npos);
  EXPECT_NE(message(tensor_with(-1, {1}, {1})).find("no proper"), std::string::npos);
  EXPECT_NE(message(tensor_with(0, {2}, {-1})).find("no proper"), std::string::npos);
  EXPECT_NE(message(tensor_with(0, {2}, {1, 1})).find("no proper"), std::string::npos);
  EXPECT_NE(message(zip_of({{"x/data.pkl", "\x80\x02N."}})).find("None stands where a tensor should"), std::string::npos);
  EXPECT_NE(message(zip_of({{"x/other", "1"}})).find("holds no data.pkl"), std::string::npos);
  EXPECT_NE(message(zip_of({{"x/data.pkl", "\x80\x02N."}, {"x/byteorder", "big"}})).find("\"big\" byte order"), std::string::npos);
}

TEST(TorchSave, EveryTruncationAndManyFlippedBitsAreReadOrRefusedWithoutACrash) {
  const std::string whole = two_tensors();
  int num_refused = 0;
  const auto attempt = [&](const std::string& damaged) {
    const std::unique_ptr<std::byte[]> block(new std::byte[damaged.size()]);
    std::memcpy(block.get(), damaged.data(), damaged.size());
    try {
      const TorchArchive archive({block.get(), damaged.size()}, "a.pt");
      for (std::size_t i = 1; i < archive.root().items.size(); i += 2) {
        const StridedTensor tensor = archive.tensor(*archive.root().items[i]);
        std::vector<std::byte> out(num_elements(checkpoint::whole(tensor.shape)) * size_bytes(tensor.dtype));
        copy_box(tensor, checkpoint::whole(tensor.shape), out);
      }
    } catch (const Error&) {
      ++num_refused;
    }
  };
  for (std::size_t size = 0; size < whole.size(); ++size) attempt(whole.substr(0, size));
  EXPECT_EQ(num_refused, static_cast<int>(whole.size()));
  for (std::size_t bit = 0; bit < whole.size() * 8; bit += 3) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    attempt(damaged);
  }
}

// tests/parity/test_torch_dist.py reads these with torch.load.
TEST(TorchSave, WritesFilesForPyTorch) {
  const char* const folder = std::getenv("SLUICE_KEEP_TORCH");
  if (!folder) GTEST_SKIP() << "SLUICE_KEEP_TORCH names no folder";
  put_file(fs::path(folder) / "two.pt", two_tensors());
  std::vector<TensorSpec> specs;
  for (const std::string& name : dtype_names()) specs.push_back({name, *dtype_named(name), {2}});
  std::string bytes;
  TorchArchiveWriter out(Root::kDict, specs,
                         [&](std::span<const std::byte> more) { bytes.append(reinterpret_cast<const char*>(more.data()), more.size()); });
  for (const TensorSpec& spec : specs) {
    std::string counted(spec.num_bytes(), '\0');
    for (std::size_t i = 0; i < counted.size(); ++i) counted[i] = static_cast<char>(i % 2);
    out.append(as_bytes(counted));
  }
  out.finish();
  put_file(fs::path(folder) / "types.pt", bytes);
}

// The tensors of a state dict that torch.save wrote, copied to a safetensors file for the same test.
TEST(TorchSave, CopiesWhatPyTorchWrote) {
  const char* const path = std::getenv("SLUICE_TORCH_FILE");
  if (!path) GTEST_SKIP() << "SLUICE_TORCH_FILE names no file";
  const MappedFile file(path);
  const TorchArchive archive(file.bytes(), path);
  std::vector<TensorSpec> specs;
  std::vector<StridedTensor> tensors;
  for (std::size_t i = 0; i < archive.root().items.size(); i += 2) {
    if (!TorchArchive::is_tensor(*archive.root().items[i + 1])) continue;
    tensors.push_back(archive.tensor(*archive.root().items[i + 1]));
    specs.push_back({std::string(archive.root().items[i]->text), tensors.back().dtype, tensors.back().shape});
  }
  std::vector<std::byte> buffer;
  const auto source = [&](std::size_t i) {
    buffer.resize(specs[i].num_bytes());
    copy_box(tensors[i], whole(specs[i].shape), buffer);
    return std::span<const std::byte>(buffer);
  };
  write_safetensors(std::string(path) + ".copied", specs, source, {}, SafetensorsWriter::Checksums::kNone, nullptr);
}

}  // namespace
}  // namespace sluice::checkpoint
