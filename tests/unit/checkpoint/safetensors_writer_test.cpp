#include "sluice/checkpoint/safetensors_writer.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "scratch.h"
#include "sluice/base/crc32c.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

using Checksums = SafetensorsWriter::Checksums;

const std::vector<float> kWeights = {1.5f, -2.0f, 3.25f, 0.0f, 5.0f, 6.0f};
const std::vector<std::uint8_t> kMask = {7, 8, 9};
const std::vector<TensorSpec> kSpecs = {
    {"z.weight", DType::kF32, {2, 3}}, {"none", DType::kI64, {0, 5}}, {"mask", DType::kU8, {3}}, {"scalar", DType::kU8, {}}};

std::span<const std::byte> source(std::size_t i) {
  if (i == 0) return bytes_of(kWeights);
  if (i == 2) return bytes_of(kMask);
  return i == 3 ? bytes_of(kMask).first(1) : std::span<const std::byte>();
}

// Writes a file for the Python cross-check as well (tests/parity/test_safetensors.py), when it says where.
void keep_for_python(const fs::path& path) {
  if (const char* folder = std::getenv("SLUICE_KEEP_FILES"))
    fs::copy_file(path, fs::path(folder) / path.filename(), fs::copy_options::overwrite_existing);
}

TEST(SafetensorsWriter, WritesTheBytesThatTheFormatAsksFor) {
  const ScratchFolder folder;
  write_safetensors(
      folder / "two.safetensors", {{"a", DType::kU8, {3}}, {"b\n", DType::kI8, {1, 2}}},
      [](std::size_t i) { return bytes_of(kMask).first(i == 0 ? 3 : 2); }, {{"format", "pt"}}, Checksums::kNone, nullptr);
  std::string header = R"({"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                       R"("b\n":{"dtype":"I8","shape":[1,2],"data_offsets":[3,5]}})";
  header.append((64 - (8 + header.size()) % 64) % 64, ' ');
  EXPECT_EQ(read_file(folder / "two.safetensors"),
            std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header + "\7\10\11\7\10");
  EXPECT_EQ(num_entries(folder.path()), 1);
  keep_for_python(folder / "two.safetensors");
}

TEST(SafetensorsWriter, ReadsBackWhatItWrote) {
  const ScratchFolder folder;
  const fs::path path = folder / "written.safetensors";
  write_safetensors(path, kSpecs, source, {{"key \"\xC3\xA4\"", "value\t"}}, Checksums::kPerTensor, nullptr);
  const SafetensorsFile file(path);
  ASSERT_EQ(file.tensors().size(), kSpecs.size());
  for (std::size_t i = 0; i < kSpecs.size(); ++i) {
    const TensorView& tensor = file.require(kSpecs[i].name);
    EXPECT_EQ(tensor.dtype, kSpecs[i].dtype);
    EXPECT_EQ(tensor.shape, kSpecs[i].shape);
    EXPECT_EQ(values_of<std::uint8_t>(tensor.bytes), values_of<std::uint8_t>(source(i)));
  }
  EXPECT_EQ(file.metadata().at("key \"\xC3\xA4\""), "value\t");
  const Json sums = parse_strict_json(file.metadata().at(kChecksumKey), "checksums");
  EXPECT_EQ(sums.size(), kSpecs.size());
  EXPECT_EQ(sums["z.weight"], checksum_text(crc32c(bytes_of(kWeights))));
  EXPECT_EQ(sums["none"], "00000000");
  keep_for_python(path);
}

TEST(SafetensorsWriter, EveryTypeComesBack) {
  const ScratchFolder folder;
  std::vector<TensorSpec> specs;
  std::vector<std::uint8_t> bytes(16);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i % 2);  // 0 and 1 alone are BOOL's values
  for (const std::string& name : dtype_names()) specs.push_back({"t." + name, *dtype_named(name), {2}});
  const auto bytes_for = [&](std::size_t i) { return bytes_of(bytes).first(specs[i].num_bytes()); };
  write_safetensors(folder / "types.safetensors", specs, bytes_for, {}, Checksums::kNone, nullptr);
  const SafetensorsFile file(folder / "types.safetensors");
  for (std::size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(file.require(specs[i].name).dtype, specs[i].dtype);
    EXPECT_EQ(values_of<std::uint8_t>(file.require(specs[i].name).bytes), values_of<std::uint8_t>(bytes_for(i)));
  }
  keep_for_python(folder / "types.safetensors");
}

TEST(SafetensorsWriter, TakesATensorInPieces) {
  const ScratchFolder folder;
  write_safetensors(folder / "whole", kSpecs, source, {}, Checksums::kPerTensor, nullptr);
  SafetensorsWriter writer(folder / "pieces", kSpecs, {}, Checksums::kPerTensor, nullptr);
  for (std::size_t at = 0; at < 24; at += 5) writer.append("z.weight", source(0).subspan(at, std::min<std::size_t>(5, 24 - at)));
  for (std::size_t i = 1; i < kSpecs.size(); ++i) writer.append(kSpecs[i].name, source(i));
  writer.finish();
  EXPECT_EQ(read_file(folder / "pieces"), read_file(folder / "whole"));
}

TEST(SafetensorsWriter, ChecksThatEveryDeclaredTensorIsWrittenExactlyOnce) {
  const ScratchFolder folder;
  const auto make = [&] {
    return std::make_unique<SafetensorsWriter>(folder / "f", kSpecs, std::map<std::string, std::string>{}, Checksums::kNone, nullptr);
  };
  EXPECT_THROW(make()->append("mask", source(2)), Bug);                            // out of turn
  EXPECT_THROW(make()->append("z.weight", bytes_of(std::vector<float>(7))), Bug);  // too long
  EXPECT_THROW(make()->finish(), Bug);                                             // none written
  const auto writer = make();
  for (std::size_t i = 0; i < kSpecs.size(); ++i) {
    if (i > 0) {
      EXPECT_THROW(writer->append(kSpecs[i - 1].name, source(i - 1)), Bug);  // a second time
    }
    if (i == 3) {
      EXPECT_THROW(writer->finish(), Bug);  // one is missing
    }
    writer->append(kSpecs[i].name, source(i));
  }
  EXPECT_FALSE(fs::exists(folder / "f"));  // not before finish()
  writer->finish();
  EXPECT_TRUE(fs::exists(folder / "f"));
  EXPECT_THROW(writer->append("scalar", source(3)), Bug);
  EXPECT_THROW(SafetensorsWriter(folder / "g", {{"a", DType::kU8, {1}}, {"a", DType::kU8, {1}}}, {}, Checksums::kNone, nullptr), Bug);
  EXPECT_THROW(SafetensorsWriter(folder / "g", {{"__metadata__", DType::kU8, {1}}}, {}, Checksums::kNone, nullptr), Bug);
  EXPECT_EQ(num_entries(folder.path()), 1);
}

TEST(SafetensorsWriter, RefusesWhatTheFormatCannotHold) {
  const ScratchFolder folder;
  const auto make = [&](std::vector<TensorSpec> specs) {
    SafetensorsWriter(folder / "f", std::move(specs), {}, Checksums::kNone, nullptr);
  };
  EXPECT_NE(error_of([&] { make({{"\xFF", DType::kU8, {1}}}); }).find("not UTF-8"), std::string::npos);
  EXPECT_NE(error_of([&] { make({{"a", DType::kU8, {-1}}}); }).find("[-1]"), std::string::npos);
  EXPECT_NE(error_of([&] { make({{std::string(kMaxHeaderBytes, 'n'), DType::kU8, {1}}}); }).find("spread the tensors"), std::string::npos);
  EXPECT_NE(error_of([&] { SafetensorsWriter(folder / "absent/f", {}, {}, Checksums::kNone, nullptr); }).find("cannot write"),
            std::string::npos);
  EXPECT_EQ(num_entries(folder.path()), 0);
}

TEST(SafetensorsWriter, LeavesTheOldFileWhicheverChangeFails) {
  const ScratchFolder folder;
  const fs::path path = folder / "f";
  int num_failed = 0;
  for (int n = 1;; ++n) {
    put_file(path, "old");
    FailAt failure(n);
    try {
      write_safetensors(path, kSpecs, source, {}, Checksums::kPerTensor, &failure);
    } catch (const Error&) {
      ++num_failed;
    }
    EXPECT_EQ(num_entries(folder.path()), 1) << "a temporary file is left at change " << n;
    if (!failure.happened()) break;
    const std::string now = read_file(path);
    EXPECT_TRUE(now == "old" || SafetensorsFile(path).tensors().size() == kSpecs.size()) << n;
  }
  EXPECT_GE(num_failed, 7);  // create, header, 3 tensors with bytes, checksums, sync, rename, folder
}

// The child may write at most 64 KiB to a file: writes come back short, then fail, as on a full disk.
TEST(SafetensorsWriter, AFileSizeLimitIsAnErrorAndLeavesNothing) {
  const ScratchFolder folder;
  const int status = status_of_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{64 << 10, 64 << 10};
    setrlimit(RLIMIT_FSIZE, &limit);
    const std::vector<float> big(100'000, 1.0f);
    const std::string message = error_of([&] {
      write_safetensors(
          folder / "f", {{"big", DType::kF32, {100'000}}}, [&](std::size_t) { return bytes_of(big); }, {}, Checksums::kNone, nullptr);
    });
    return message.find("cannot write") != std::string::npos && message.find("fix: ") != std::string::npos &&
                   num_entries(folder.path()) == 0
               ? 0
               : 1;
  });
  EXPECT_EQ(status, 0);
}

TEST(SafetensorsWriter, AFullDiskIsAnErrorAndLeavesTheOldFile) {
  const ScratchFolder folder;
  constexpr int kCannotMount = 77;
  const int status = status_of_child([&] {
    // A disk of 1 MiB that only this child sees.
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kCannotMount;
    if (mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) return kCannotMount;
    put_file(folder / "f", "old");
    const std::vector<float> big(1'000'000, 1.0f);
    const std::string message = error_of([&] {
      write_safetensors(
          folder / "f", {{"big", DType::kF32, {1'000'000}}}, [&](std::size_t) { return bytes_of(big); }, {}, Checksums::kNone, nullptr);
    });
    return message.find("No space left") != std::string::npos && num_entries(folder.path()) == 1 && read_file(folder / "f") == "old" ? 0
                                                                                                                                     : 1;
  });
  if (WIFEXITED(status) && WEXITSTATUS(status) == kCannotMount) GTEST_SKIP() << "only root may mount a small disk";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace sluice::checkpoint
