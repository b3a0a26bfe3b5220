#include "sluice/checkpoint/sharded.h"

#include "scratch.h"
#include "sluice/base/rng.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

using Checksums = ShardedFolder::Checksums;

// A tensor of the numbers 0, 1, 2, ...
std::vector<float> counted(const std::vector<std::int64_t>& shape) {
  std::vector<float> values(num_elements(whole(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return values;
}

// The part of `counted(shape)` that lies in `box`.
std::vector<float> counted_part(const std::vector<std::int64_t>& shape, const Box& box) {
  const std::vector<float> all = counted(shape);
  std::vector<float> part(num_elements(box));
  copy_shared(bytes_of(all), whole(shape), std::as_writable_bytes(std::span(part)), box, sizeof(float));
  return part;
}

void write_counted(const fs::path& folder, int rank, const std::vector<TensorPart>& parts) {
  std::vector<float> buffer;
  const auto source = [&](std::size_t i) {
    buffer = counted_part(parts[i].global_shape, parts[i].box);
    return bytes_of(buffer);
  };
  write_shard(folder, rank, parts, source);
}

std::vector<float> read_part(ShardedFolder& folder, const std::string& name, const Box& box) {
  std::vector<float> values(num_elements(box));
  folder.read(name, box, std::as_writable_bytes(std::span(values)));
  return values;
}

// Four ranks: a matrix by columns, one by blocks of both dims, a stack of experts of which a rank holds every fourth, one tensor
// of rank 1 alone, a scalar, and a tensor without elements.
const std::vector<std::int64_t> kColumns = {3, 8}, kBlocks = {4, 6}, kExperts = {8, 2, 3}, kAlone = {5};

void write_four_ranks(const fs::path& folder) {
  for (int rank = 0; rank < 4; ++rank) {
    std::vector<TensorPart> parts = {{"columns", DType::kF32, kColumns, {{0, 2 * rank}, {3, 2}}},
                                     {"blocks", DType::kF32, kBlocks, {{2 * (rank / 2), 3 * (rank % 2)}, {2, 3}}},
                                     {"experts", DType::kF32, kExperts, {{rank, 0, 0}, {1, 2, 3}}},
                                     {"experts", DType::kF32, kExperts, {{rank + 4, 0, 0}, {1, 2, 3}}},
                                     {"uneven", DType::kF32, {3}, {{std::min(rank, 3)}, {rank < 3 ? 1 : 0}}}};
    if (rank == 1) parts.push_back({"alone", DType::kF32, kAlone, whole(kAlone)});
    if (rank == 0) parts.push_back({"scalar", DType::kF32, {}, {}});
    if (rank == 2) parts.push_back({"empty", DType::kF32, {0, 2}, whole({0, 2})});
    write_counted(folder, rank, parts);
  }
}

TEST(Sharded, NamesItsFilesAsPyTorchDoes) {
  const ScratchFolder scratch;
  write_four_ranks(scratch.path());
  EXPECT_EQ(num_entries(scratch.path()), 8);
  const SafetensorsFile file(scratch / "shard-00004-model-00002-of-00002.safetensors");
  EXPECT_EQ(file.metadata().at("DCP_SHARDING_INFO"), R"({"experts":{"saved_offsets":[7,0,0]}})");
  EXPECT_EQ(file.metadata().at("sluice_global_shape"), R"({"experts":[8,2,3]})");
  EXPECT_EQ(file.metadata().at("format"), "pt");
}

TEST(Sharded, GathersWholeTensors) {
  const ScratchFolder scratch;
  write_four_ranks(scratch.path());
  ShardedFolder folder(scratch.path());
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"alone", "blocks", "columns", "empty", "experts", "scalar", "uneven"}));
  for (const std::string& name : folder.names()) {
    const auto shape = folder.find(name)->shape;
    std::vector<float> values(num_elements(whole(shape)));
    folder.read(name, std::as_writable_bytes(std::span(values)));
    EXPECT_EQ(values, counted(shape)) << name;
  }
  EXPECT_EQ(folder.find("experts")->shape, kExperts);
  EXPECT_EQ(folder.find("absent"), nullptr);
  EXPECT_NE(error_of([&] { folder.read("colums", {}); }).find("nearest name is \"columns\""), std::string::npos);
}

TEST(Sharded, GathersEveryRectangularSliceOfATensor) {
  const ScratchFolder scratch;
  write_four_ranks(scratch.path());
  ShardedFolder folder(scratch.path());
  for (std::int64_t top = 0; top <= kBlocks[0]; ++top) {
    for (std::int64_t left = 0; left <= kBlocks[1]; ++left) {
      for (std::int64_t height = 0; height <= kBlocks[0] - top; ++height) {
        for (std::int64_t width = 0; width <= kBlocks[1] - left; ++width) {
          const Box box{{top, left}, {height, width}};
          ASSERT_EQ(read_part(folder, "blocks", box), counted_part(kBlocks, box)) << to_string(box);
        }
      }
    }
  }
  const Box across{{2, 0, 1}, {5, 2, 2}};
  EXPECT_EQ(read_part(folder, "experts", across), counted_part(kExperts, across));
}

TEST(Sharded, AnyLayoutLoadsAnyOtherLayout) {
  Rng rng(3, 0);
  for (int round = 0; round < 50; ++round) {
    const ScratchFolder scratch;
    const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(2 + rng.below(5)), static_cast<std::int64_t>(2 + rng.below(5)), 3};
    // A random tiling: cut boxes in two along a random dim.
    std::vector<Box> tiles = {whole(shape)};
    for (int cut = 0; cut < 6; ++cut) {
      const std::size_t which = rng.below(tiles.size()), dim = rng.below(3);
      const std::int64_t length = tiles[which].lengths[dim];
      if (length < 2) continue;
      Box after = tiles[which];
      tiles[which].lengths[dim] = static_cast<std::int64_t>(1 + rng.below(static_cast<std::uint64_t>(length - 1)));
      after.offsets[dim] += tiles[which].lengths[dim];
      after.lengths[dim] = length - tiles[which].lengths[dim];
      tiles.push_back(after);
    }
    for (std::size_t rank = 0; rank < tiles.size(); ++rank)
      write_counted(scratch.path(), static_cast<int>(rank), {{"t", DType::kF32, shape, tiles[rank]}});
    ShardedFolder folder(scratch.path());
    const Box box{{1, 0, 1}, {shape[0] - 1, shape[1], 2}};
    ASSERT_EQ(read_part(folder, "t", whole(shape)), counted(shape));
    ASSERT_EQ(read_part(folder, "t", box), counted_part(shape, box));
  }
}

TEST(Sharded, RequestsOutsideTheTensorAndBuffersOfAnotherSizeAreBugs) {
  const ScratchFolder scratch;
  write_four_ranks(scratch.path());
  ShardedFolder folder(scratch.path());
  EXPECT_THROW(read_part(folder, "blocks", {{0, 0}, {5, 6}}), Bug);
  EXPECT_THROW(read_part(folder, "blocks", {{0}, {4}}), Bug);
  std::vector<float> small(3);
  EXPECT_THROW(folder.read("blocks", std::as_writable_bytes(std::span(small))), Bug);
  EXPECT_THROW(write_counted(scratch.path(), 9, {{"t", DType::kF32, {4}, {{2}, {3}}}}), Bug);
}

TEST(Sharded, ListsTheElementsThatAMissingFileHeld) {
  const ScratchFolder scratch;
  write_four_ranks(scratch.path());
  fs::remove(scratch / "shard-00004-model-00001-of-00002.safetensors");  // the last: PyTorch would take the tensor to be smaller
  const std::string message = error_of([&] { ShardedFolder folder(scratch.path()); });
  EXPECT_NE(message.find("tensor \"blocks\""), std::string::npos) << message;
  EXPECT_NE(message.find("lacks 6 of its 24 elements: [2:4, 3:6]"), std::string::npos) << message;
}

TEST(Sharded, NamesTheFilesThatHoldTheSameElements) {
  const ScratchFolder scratch;
  write_four_ranks(scratch.path());
  write_counted(scratch.path(), 6, {{"alone", DType::kF32, kAlone, whole(kAlone)}});
  const std::string message = error_of([&] { ShardedFolder folder(scratch.path()); });
  EXPECT_NE(message.find("tensor \"alone\""), std::string::npos) << message;
  EXPECT_NE(message.find("shard-00002-model-00001-of-00002.safetensors and in "), std::string::npos) << message;
  EXPECT_NE(message.find("shard-00007-model-00001-of-00001.safetensors"), std::string::npos) << message;
}

TEST(Sharded, AFlippedBitIsAnErrorUnlessChecksumsAreSkipped) {
  const ScratchFolder scratch;
  write_four_ranks(scratch.path());
  const fs::path path = scratch / "shard-00003-model-00001-of-00002.safetensors";
  std::string bytes = read_file(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);  // of "uneven", the last tensor with elements
  put_file(path, bytes);
  ShardedFolder folder(scratch.path());
  EXPECT_EQ(read_part(folder, "uneven", {{0}, {2}}).size(), 2u);  // does not touch the damaged part
  for (int time = 0; time < 2; ++time) {                          // a second try does not pass either
    const std::string message = error_of([&] { read_part(folder, "uneven", {{0}, {3}}); });
    EXPECT_NE(message.find("tensor \"uneven\" in " + path.string() + " has the checksum"), std::string::npos) << message;
  }
  ShardedFolder trusting(scratch.path(), Checksums::kSkip);
  EXPECT_EQ(read_part(trusting, "uneven", {{0}, {3}}).size(), 3u);
}

// A shard file with any notes, as another program or an attacker would write it.
void put_shard(const fs::path& path, const std::vector<TensorSpec>& specs, const std::map<std::string, std::string>& metadata) {
  const std::vector<float> zeros(64);
  write_safetensors(
      path, specs, [&](std::size_t i) { return bytes_of(zeros).first(specs[i].num_bytes()); }, metadata,
      SafetensorsWriter::Checksums::kNone, nullptr);
}

TEST(Sharded, ReadsFilesWithoutOurNotes) {
  const ScratchFolder scratch;
  put_shard(scratch / "a.safetensors", {{"t", DType::kF32, {2, 3}}}, {{"DCP_SHARDING_INFO", R"({"t":{"saved_offsets":[0,0]}})"}});
  put_shard(scratch / "b.safetensors", {{"t", DType::kF32, {1, 3}}}, {{"DCP_SHARDING_INFO", R"({"t":{"saved_offsets":[2,0]}})"}});
  put_shard(scratch / "c.safetensors", {{"u", DType::kF32, {4}}}, {});
  ShardedFolder folder(scratch.path());
  EXPECT_EQ(folder.find("t")->shape, (std::vector<std::int64_t>{3, 3}));
  EXPECT_EQ(read_part(folder, "u", whole({4})), std::vector<float>(4));
}

TEST(Sharded, RefusesEveryHostileNoteWithARemedy) {
  struct Hostile {
    const char* name;
    std::map<std::string, std::string> metadata;
    const char* message;
  };
  const std::string sharding = "DCP_SHARDING_INFO", shape = "sluice_global_shape", sum = kChecksumKey;
  const std::vector<Hostile> notes = {
      {"NotJson", {{sharding, "{"}}, "not valid JSON"},
      {"List", {{sharding, "[]"}}, "is not an object"},
      {"OtherTensor", {{sharding, R"({"u":{"saved_offsets":[0]}})"}}, "does not mention tensor \"t\""},
      {"TensorTwice", {{sharding, R"({"t":{"saved_offsets":[0]},"t":{"saved_offsets":[1]}})"}}, "appears twice"},
      {"NoOffsets", {{sharding, R"({"t":{}})"}}, "saved_offsets are missing"},
      {"EntryIsAList", {{sharding, R"({"t":[0]})"}}, "saved_offsets are missing"},
      {"OffsetsAreANumber", {{sharding, R"({"t":{"saved_offsets":0}})"}}, "is not a list"},
      {"NegativeOffset", {{sharding, R"({"t":{"saved_offsets":[-1]}})"}}, "holds \"-1\""},
      {"FractionalOffset", {{sharding, R"({"t":{"saved_offsets":[0.5]}})"}}, "holds \"0.5\""},
      {"TextOffset", {{sharding, R"({"t":{"saved_offsets":["0"]}})"}}, "which is not a count"},
      {"TooManyOffsets", {{sharding, R"({"t":{"saved_offsets":[0,0]}})"}}, "do not fit its shape [4]"},
      {"OffsetPast63Bits", {{sharding, R"({"t":{"saved_offsets":[9223372036854775808]}})"}}, "which is not a count"},
      {"OffsetPlusLengthOverflows", {{sharding, R"({"t":{"saved_offsets":[9223372036854775805]}})"}}, "are too large"},
      {"OffsetMakesAGiant", {{sharding, R"({"t":{"saved_offsets":[9223372036854775800]}})"}}, "more elements than can be counted"},
      {"OffsetLeavesAHole",
       {{sharding, R"({"t":{"saved_offsets":[1000000000000]}})"}},
       "lacks 1000000000000 of its 1000000000004 elements: [0:1000000000000]"},
      {"DeepNesting", {{sharding, std::string(100'000, '[')}}, "nested deeper"},
      {"ShapeIsANumber", {{shape, R"({"t":4})"}}, "is not a list"},
      {"ShapeIsSmaller", {{shape, R"({"t":[3]})"}}, "outside the whole shape [3]"},
      {"ShapeIsLarger", {{shape, R"({"t":[6]})"}}, "lacks 2 of its 6 elements: [4:6]"},
      {"ShapeOfOtherDims", {{shape, R"({"t":[2,2]})"}}, "is part of a whole of shape [2, 2]"},
      {"ShapeOverflows", {{shape, R"({"t":[9223372036854775807]})"}}, "more elements than can be counted"},
      {"ShapeOfOtherTensor", {{shape, R"({"u":[4]})"}}, "does not mention tensor \"t\""},
      {"ChecksumIsANumber", {{sum, R"({"t":1})"}}, "the checksum is not text"},
      {"ChecksumOfOtherTensor", {{sum, R"({"u":"00000000"})"}}, "does not mention tensor \"t\""},
  };
  for (const Hostile& note : notes) {
    SCOPED_TRACE(note.name);
    const ScratchFolder scratch;
    put_shard(scratch / "a.safetensors", {{"t", DType::kF32, {4}}}, note.metadata);
    const std::string message = error_of([&] { ShardedFolder folder(scratch.path()); });
    EXPECT_NE(message.find(note.message), std::string::npos) << message;
    EXPECT_NE(message.find("\n  fix: "), std::string::npos) << message;
    EXPECT_LT(message.size(), 1000u);
  }
}

TEST(Sharded, RefusesPartsThatDisagree) {
  const ScratchFolder scratch;
  const fs::path a = scratch / "a.safetensors", b = scratch / "b.safetensors";
  const std::string at_0 = R"({"t":{"saved_offsets":[0]}})", at_4 = R"({"t":{"saved_offsets":[4]}})";
  put_shard(a, {{"t", DType::kF32, {4}}}, {{"DCP_SHARDING_INFO", at_0}, {"sluice_global_shape", R"({"t":[8]})"}});
  put_shard(b, {{"t", DType::kF16, {4}}}, {{"DCP_SHARDING_INFO", at_4}, {"sluice_global_shape", R"({"t":[8]})"}});
  EXPECT_NE(error_of([&] { ShardedFolder folder(scratch.path()); }).find("is F16, but in " + a.string() + " F32"), std::string::npos);
  put_shard(b, {{"t", DType::kF32, {4}}}, {{"DCP_SHARDING_INFO", at_4}, {"sluice_global_shape", R"({"t":[9]})"}});
  EXPECT_NE(error_of([&] { ShardedFolder folder(scratch.path()); }).find("of shape [9]"), std::string::npos);
  put_shard(b, {{"t", DType::kF32, {4}}}, {{"DCP_SHARDING_INFO", at_4}});
  EXPECT_NE(error_of([&] { ShardedFolder folder(scratch.path()); }).find("not recorded"), std::string::npos);
  put_shard(b, {{"t", DType::kF32, {2, 2}}},
            {{"DCP_SHARDING_INFO", R"({"t":{"saved_offsets":[4,0]}})"}, {"sluice_global_shape", R"({"t":[8]})"}});
  EXPECT_NE(error_of([&] { ShardedFolder folder(scratch.path()); }).find("itself [2, 2]"), std::string::npos);
  EXPECT_NE(error_of([&] { ShardedFolder folder(scratch / "absent"); }).find("cannot read the folder"), std::string::npos);
  fs::remove(a);
  fs::remove(b);
  EXPECT_NE(error_of([&] { ShardedFolder folder(scratch.path()); }).find("holds no .safetensors files"), std::string::npos);
}

// For the Python cross-check (tests/parity/test_dcp.py): the four ranks' folder, where it says.
TEST(Sharded, WritesEqualBytesForEqualParts) {
  const ScratchFolder first, second;
  write_four_ranks(first.path());
  write_four_ranks(second.path());
  for (const auto& entry : fs::directory_iterator(first.path())) {
    EXPECT_EQ(read_file(entry.path()), read_file(second / entry.path().filename().string()));
    if (const char* folder = std::getenv("SLUICE_KEEP_SHARDS")) fs::copy_file(entry.path(), fs::path(folder) / entry.path().filename());
  }
}

// The other way round: test_dcp.py lets PyTorch write a folder of counted tensors and names it here.
TEST(Sharded, ReadsWhatPyTorchWrote) {
  const char* path = std::getenv("SLUICE_TORCH_SHARDS");
  if (!path) GTEST_SKIP() << "run by tests/parity/test_dcp.py, which sets SLUICE_TORCH_SHARDS";
  ShardedFolder folder(path);
  EXPECT_FALSE(folder.names().empty());
  for (const std::string& name : folder.names()) {
    EXPECT_EQ(folder.find(name)->dtype, DType::kF32);
    EXPECT_EQ(read_part(folder, name, whole(folder.find(name)->shape)), counted(folder.find(name)->shape)) << name;
  }
}

}  // namespace
}  // namespace sluice::checkpoint
