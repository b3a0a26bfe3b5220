#include "sluice/checkpoint/dcp_folder.h"

#include <cstdlib>
#include <map>

#include "scratch.h"
#include "sluice/checkpoint/torch_save.h"

namespace sluice::checkpoint {
namespace {

// A tensor of the numbers 0, 1, 2, ...
std::vector<float> counted(const std::vector<std::int64_t>& shape) {
  std::vector<float> values(num_elements(whole(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return values;
}

// Writes the parts of `counted` tensors.
DcpMetadata write_counted(const fs::path& folder, int rank, const std::vector<TensorPart>& parts) {
  std::vector<float> buffer;
  const auto source = [&](std::size_t i) {
    buffer.resize(num_elements(parts[i].box));
    copy_shared(bytes_of(counted(parts[i].global_shape)), whole(parts[i].global_shape), std::as_writable_bytes(std::span(buffer)),
                parts[i].box, 4);
    return bytes_of(buffer);
  };
  return write_dcp_shard(folder, rank, parts, source);
}

const std::map<std::string, std::vector<std::int64_t>> kShapes = {
    {"alone", {5}}, {"blocks", {4, 6}}, {"columns", {3, 8}}, {"empty", {0, 2}}, {"experts", {8, 2, 3}}, {"scalar", {}}, {"uneven", {3}}};

// Rank `rank` of four: a matrix by columns, one by blocks of both dims, every fourth of a stack of experts, a tensor of rank 1 alone.
std::vector<TensorPart> parts_of(int rank) {
  const auto shape = [](const char* name) { return kShapes.at(name); };
  std::vector<TensorPart> parts = {{"columns", DType::kF32, shape("columns"), {{0, 2 * rank}, {3, 2}}},
                                   {"blocks", DType::kF32, shape("blocks"), {{2 * (rank / 2), 3 * (rank % 2)}, {2, 3}}},
                                   {"experts", DType::kF32, shape("experts"), {{rank, 0, 0}, {1, 2, 3}}},
                                   {"experts", DType::kF32, shape("experts"), {{rank + 4, 0, 0}, {1, 2, 3}}},
                                   {"uneven", DType::kF32, shape("uneven"), {{std::min(rank, 3)}, {rank < 3 ? 1 : 0}}}};
  if (rank == 1) parts.push_back({"alone", DType::kF32, shape("alone"), whole(shape("alone"))});
  if (rank == 0) parts.push_back({"scalar", DType::kF32, {}, {}});
  if (rank == 2) parts.push_back({"empty", DType::kF32, shape("empty"), whole(shape("empty"))});
  return parts;
}

void write_four_ranks(const fs::path& folder) {
  std::vector<DcpMetadata> ranks;
  for (int rank = 0; rank < 4; ++rank) ranks.push_back(write_counted(folder, rank, parts_of(rank)));
  write_dcp_index(folder, ranks);
}

std::vector<float> read_part(const DcpFolder& folder, const std::string& name, const Box& box) {
  std::vector<float> values(num_elements(box));
  folder.read(name, box, std::as_writable_bytes(std::span(values)));
  return values;
}

TEST(DcpFolder, PutsTogetherWhatFourRanksWrote) {
  const ScratchFolder scratch;
  write_four_ranks(scratch.path());
  EXPECT_EQ(num_entries(scratch.path()), 5);
  const DcpFolder folder(scratch.path());
  ASSERT_EQ(folder.names().size(), kShapes.size());
  for (const auto& [name, shape] : kShapes) {
    ASSERT_NE(folder.find(name), nullptr);
    EXPECT_EQ(folder.find(name)->shape, shape);
    EXPECT_EQ(read_part(folder, name, whole(shape)), counted(shape)) << name;
  }
  EXPECT_EQ(read_part(folder, "columns", {{1, 1}, {2, 2}}), (std::vector<float>{9, 10, 17, 18}));
  EXPECT_EQ(read_part(folder, "experts", {{3, 1, 0}, {2, 1, 3}}), (std::vector<float>{21, 22, 23, 27, 28, 29}));
}

TEST(DcpFolder, WritesEqualBytesForEqualParts) {
  const ScratchFolder a, b;
  write_four_ranks(a.path());
  write_four_ranks(b.path());
  for (const char* file : {".metadata", "__0_0.distcp", "__3_0.distcp"}) EXPECT_EQ(read_file(a / file), read_file(b / file)) << file;
  if (const char* const keep = std::getenv("SLUICE_KEEP_DCP")) fs::copy(a.path(), keep);
}

TEST(DcpFolder, RefusesGapsAndOverlaps) {
  const ScratchFolder scratch;
  const std::vector<TensorPart> low = {{"a", DType::kF32, {4, 2}, {{0, 0}, {2, 2}}}}, high = {{"a", DType::kF32, {4, 2}, {{3, 0}, {1, 2}}}},
                                twice = {{"a", DType::kF32, {4, 2}, {{1, 0}, {3, 2}}}},
                                other = {{"a", DType::kF32, {5, 2}, {{2, 0}, {3, 2}}}};
  const auto message = [&](const std::vector<TensorPart>& second) {
    const std::vector<DcpMetadata> ranks = {write_counted(scratch.path(), 0, low), write_counted(scratch.path(), 1, second)};
    return error_of([&] { write_dcp_index(scratch.path(), ranks); });
  };
  EXPECT_NE(message(high).find("lacks 2 of its 8 elements: [2:3, 0:2]"), std::string::npos);
  EXPECT_NE(message(twice).find("[1:2, 0:2] twice"), std::string::npos);
  EXPECT_NE(message(other).find("differ in type or shape"), std::string::npos);
  EXPECT_FALSE(fs::exists(scratch / ".metadata"));
  // The reader says the same of a folder that somebody else wrote.
  DcpMetadata gap = write_counted(scratch.path(), 0, low);
  put_file(scratch / ".metadata", write_dcp_metadata(gap));
  EXPECT_NE(error_of([&] { DcpFolder(scratch.path()); }).find("lacks 4 of its 8 elements"), std::string::npos);
}

TEST(DcpFolder, NamesTheFileThatIsMissingOrTooShort) {
  const ScratchFolder scratch;
  EXPECT_NE(error_of([&] { DcpFolder(scratch.path()); }).find("has no .metadata"), std::string::npos);
  write_four_ranks(scratch.path());
  const std::string whole_file = read_file(scratch / "__2_0.distcp");
  put_file(scratch / "__2_0.distcp", whole_file.substr(0, whole_file.size() - 1));
  EXPECT_NE(error_of([&] { DcpFolder(scratch.path()); }).find("__2_0.distcp, which has"), std::string::npos);
  fs::remove(scratch / "__2_0.distcp");
  EXPECT_NE(error_of([&] { DcpFolder(scratch.path()); }).find("__2_0.distcp"), std::string::npos);
}

TEST(DcpFolder, RefusesAnItemThatIsNotTheChunkAnnounced) {
  const ScratchFolder scratch;
  DcpMetadata metadata = write_counted(scratch.path(), 0, {{"a", DType::kF32, {2, 3}, whole({2, 3})}});
  metadata.tensors["a"].shape = {3, 2};
  metadata.tensors["a"].chunks[0].box = whole({3, 2});
  put_file(scratch / ".metadata", write_dcp_metadata(metadata));
  const DcpFolder folder(scratch.path());
  EXPECT_NE(error_of([&] {
              read_part(folder, "a", whole({3, 2}));
            }).find("is F32 [2, 3] where .metadata says F32 [3, 2]"),
            std::string::npos);
  EXPECT_NE(error_of([&] { read_part(folder, "b", whole({3, 2})); }).find("nearest name is \"a\""), std::string::npos);
}

TEST(DcpMetadata, RefusesFilesOutsideTheFolderAndChunksOutsideTheTensor) {
  const auto message = [](const std::function<void(DcpTensor&)>& damage) {
    DcpMetadata metadata;
    metadata.tensors["a"] = {DType::kF32, {2}, {{whole({2}), {"__0_0.distcp", 0, 100}}}};
    damage(metadata.tensors["a"]);
    const std::string bytes = write_dcp_metadata(metadata);
    return error_of([&] { parse_dcp_metadata(std::as_bytes(std::span(bytes)), ".metadata"); });
  };
  for (const char* file : {"../secret", "/etc/passwd", "", ".metadata", "a/b"})
    EXPECT_NE(message([&](DcpTensor& t) { t.chunks[0].place.file = file; }).find("not one of this folder"), std::string::npos) << file;
  EXPECT_NE(message([](DcpTensor& t) { t.chunks[0].box.lengths = {3}; }).find("outside its shape [2]"), std::string::npos);
  EXPECT_NE(message([](DcpTensor& t) { t.chunks[0].box.offsets = {1}; }).find("outside its shape [2]"), std::string::npos);
  EXPECT_NE(message([](DcpTensor& t) { t.chunks[0].box.lengths = {-1}; }).find("not a count"), std::string::npos);
  EXPECT_NE(message([](DcpTensor& t) { t.shape = {INT64_MAX, 8}; }).find("more elements than can be counted"), std::string::npos);
  EXPECT_NE(message([](DcpTensor& t) { t.chunks[0].place.num_bytes = UINT64_MAX; }).find("not a count"), std::string::npos);
  EXPECT_NE(message([](DcpTensor& t) { t.chunks.push_back(t.chunks[0]); }).find("two places"), std::string::npos);
}

TEST(DcpMetadata, EveryFlippedBitAndEveryTruncationIsReadOrRefusedWithoutACrash) {
  const ScratchFolder scratch;
  write_four_ranks(scratch.path());
  const std::string whole_file = read_file(scratch / ".metadata");
  int num_refused = 0;
  const auto attempt = [&](const std::string& damaged) {
    const std::unique_ptr<std::byte[]> block(new std::byte[damaged.size()]);
    std::memcpy(block.get(), damaged.data(), damaged.size());
    try {
      parse_dcp_metadata({block.get(), damaged.size()}, ".metadata");
    } catch (const Error&) {
      ++num_refused;
    }
  };
  for (std::size_t size = 0; size < whole_file.size(); size += 7) attempt(whole_file.substr(0, size));
  EXPECT_GT(num_refused, static_cast<int>(whole_file.size() / 7));
  for (std::size_t bit = 0; bit < whole_file.size() * 8; bit += 5) {
    std::string damaged = whole_file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    attempt(damaged);
  }
}

// tests/parity/test_torch_dist.py has PyTorch write a folder and compares the copy.
TEST(DcpFolder, CopiesWhatPyTorchWrote) {
  const char* const path = std::getenv("SLUICE_TORCH_DCP");
  if (!path) GTEST_SKIP() << "SLUICE_TORCH_DCP names no folder";
  const DcpFolder folder(path);
  std::vector<TensorSpec> specs;
  for (const std::string& name : folder.names()) specs.push_back({name, folder.find(name)->dtype, folder.find(name)->shape});
  std::vector<std::byte> buffer;
  const auto source = [&](std::size_t i) {
    buffer.resize(specs[i].num_bytes());
    folder.read(specs[i].name, buffer);
    return std::span<const std::byte>(buffer);
  };
  write_safetensors(std::string(path) + ".copied", specs, source, {}, SafetensorsWriter::Checksums::kNone, nullptr);
  for (const std::string& name : folder.object_names()) {
    const TorchArchive archive(folder.object(name), name);
    put_file(std::string(path) + "." + name + ".txt", describe(archive.root()));
  }
}

}  // namespace
}  // namespace sluice::checkpoint
