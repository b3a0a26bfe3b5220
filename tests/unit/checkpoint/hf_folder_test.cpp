#include "sluice/checkpoint/hf_folder.h"

#include "scratch.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

using Checksums = SafetensorsWriter::Checksums;

const std::vector<std::uint8_t> kBytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
const std::vector<TensorSpec> kSpecs = {
    {"z", DType::kU8, {4}}, {"a", DType::kU8, {3, 1}}, {"empty", DType::kU8, {0}}, {"m", DType::kU8, {9}}, {"b", DType::kU8, {1}}};

std::span<const std::byte> source(std::size_t i) { return bytes_of(kBytes).first(kSpecs[i].num_bytes()); }

// A file of one-byte tensors.
void put_tensors(const fs::path& path, const std::vector<std::string>& names) {
  std::vector<TensorSpec> specs;
  for (const std::string& name : names) specs.push_back({name, DType::kU8, {1}});
  write_safetensors(
      path, specs, [](std::size_t) { return bytes_of(kBytes).first(1); }, {}, Checksums::kNone, nullptr);
}

void expect_same_tensors(const WeightFolder& folder) {
  EXPECT_EQ(folder.names().size(), kSpecs.size());
  EXPECT_EQ(folder.num_bytes(), 17u);
  for (std::size_t i = 0; i < kSpecs.size(); ++i) {
    EXPECT_EQ(folder.require(kSpecs[i].name).shape, kSpecs[i].shape);
    EXPECT_EQ(values_of<std::uint8_t>(folder.require(kSpecs[i].name).bytes), values_of<std::uint8_t>(source(i)));
  }
}

TEST(WeightFolder, WritesOneFileWhenAllFits) {
  const ScratchFolder scratch;
  write_weight_folder(scratch / "m", kSpecs, source);
  EXPECT_EQ(num_entries(scratch / "m"), 1);
  const WeightFolder folder(scratch / "m");
  expect_same_tensors(folder);
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"z", "a", "empty", "m", "b"}));
  EXPECT_EQ(SafetensorsFile(scratch / "m" / "model.safetensors").metadata().at("format"), "pt");
}

TEST(WeightFolder, FillsShardsUpToTheLimitAndIndexesThem) {
  const ScratchFolder scratch;
  write_weight_folder(scratch / "m", kSpecs, source, 7);  // 4 + 3 + 0 | 9, larger than a shard | 1
  EXPECT_EQ(num_entries(scratch / "m"), 4);
  const Json index = parse_strict_json(read_file(scratch / "m" / "model.safetensors.index.json"), "index");
  EXPECT_EQ(index, Json::parse(R"({"metadata": {"total_size": 17}, "weight_map": {
    "z": "model-00001-of-00003.safetensors", "a": "model-00001-of-00003.safetensors", "empty": "model-00001-of-00003.safetensors",
    "m": "model-00002-of-00003.safetensors", "b": "model-00003-of-00003.safetensors"}})"));
  expect_same_tensors(WeightFolder(scratch / "m"));
}

TEST(WeightFolder, EqualTensorsGiveEqualBytes) {
  const ScratchFolder scratch;
  write_weight_folder(scratch / "a", kSpecs, source, 7);
  write_weight_folder(scratch / "b", kSpecs, source, 7);
  for (const auto& entry : fs::directory_iterator(scratch / "a")) {
    EXPECT_EQ(read_file(entry.path()), read_file(scratch / "b" / entry.path().filename().string()));
  }
}

TEST(WeightFolder, ReplacesOldWeightsOfEitherLayoutAndKeepsOtherFiles) {
  const ScratchFolder scratch;
  const fs::path folder = scratch / "m";
  write_weight_folder(folder, kSpecs, source, 4);
  put_file(folder / "config.json", "{}");
  put_file(folder / "model-extra.safetensors", "mine");
  write_weight_folder(folder, kSpecs, source, 7);
  expect_same_tensors(WeightFolder(folder));
  EXPECT_EQ(num_entries(folder), 6);
  write_weight_folder(folder, kSpecs, source);
  expect_same_tensors(WeightFolder(folder));
  EXPECT_EQ(num_entries(folder), 3);
}

TEST(WeightFolder, KeepsOldWeightsWhenWritingFails) {
  const ScratchFolder scratch;
  const fs::path folder = scratch / "m";
  write_weight_folder(folder, kSpecs, source);
  const std::string old = read_file(folder / "model.safetensors");
  const auto failing = [&](std::size_t i) -> std::span<const std::byte> {
    if (i == 3) throw Error("the disk is full", "free some space");
    return source(i);
  };
  EXPECT_NE(error_of([&] { write_weight_folder(folder, kSpecs, failing, 7); }).find("full"), std::string::npos);
  EXPECT_EQ(read_file(folder / "model.safetensors"), old);
  EXPECT_EQ(num_entries(folder), 1);
}

// At no moment do old and new weights pass for one set: a kill leaves the old ones, the new ones, or an Error on loading.
TEST(WeightFolder, AKillAtAnyChangeNeverMixesOldAndNewWeights) {
  const ScratchFolder scratch;
  const fs::path folder = scratch / "m";
  std::vector<std::uint8_t> newer(10, 200);
  int n = 1, status = -1;
  for (; status != 0; ++n) {
    fs::remove_all(folder);
    write_weight_folder(folder, kSpecs, source, 7);
    status = status_of_child([&] {
      KillAt kill_at(n);
      write_weight_folder(
          folder, kSpecs, [&](std::size_t i) { return bytes_of(newer).first(kSpecs[i].num_bytes()); }, 7, &kill_at);
      return 0;
    });
    ASSERT_TRUE(status == 0 || WIFSIGNALED(status));
    try {
      const WeightFolder weights(folder);
      const bool is_new = values_of<std::uint8_t>(weights.require("z").bytes)[0] == 200;
      for (const TensorSpec& spec : kSpecs) {
        for (const std::uint8_t value : values_of<std::uint8_t>(weights.require(spec.name).bytes))
          EXPECT_EQ(value == 200, is_new) << "change " << n;
      }
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("fix: "), std::string::npos);
    }
  }
  EXPECT_GT(n, 20);
  write_weight_folder(folder, kSpecs, source, 7);  // clears what the killed writers left
  EXPECT_EQ(num_entries(folder), 4);
}

TEST(WeightFolder, SaysWhatIsWrongWithAFolder) {
  struct Fault {
    const char* name;
    std::function<void(const fs::path&)> make;
    const char* message;
  };
  const std::string one = "model-00001-of-00002.safetensors", two = "model-00002-of-00002.safetensors";
  const auto index = [](const fs::path& folder, const std::string& weight_map) {
    put_file(folder / "model.safetensors.index.json", R"({"metadata":{"total_size":2},"weight_map":)" + weight_map + "}");
  };
  const auto map = [&](const std::string& a, const std::string& b) { return R"({"a":")" + a + R"(","b":")" + b + "\"}"; };
  const std::vector<Fault> faults = {
      {"Nothing", [](const fs::path&) {}, "holds no weights"},
      {"BothLayouts", [&](const fs::path& f) { put_tensors(f / "model.safetensors", {"a"}), index(f, map(one, two)); },
       "two sets of weights"},
      {"NotJson", [&](const fs::path& f) { put_file(f / "model.safetensors.index.json", "{"); }, "not valid JSON"},
      {"NoWeightMap", [&](const fs::path& f) { put_file(f / "model.safetensors.index.json", "{}"); }, "no object \"weight_map\""},
      {"IndexIsAList", [&](const fs::path& f) { put_file(f / "model.safetensors.index.json", "[]"); }, "no object \"weight_map\""},
      {"IndexIsAFolder", [&](const fs::path& f) { fs::create_directory(f / "model.safetensors.index.json"); }, "is a folder"},
      {"WeightMapIsAList", [&](const fs::path& f) { index(f, "[]"); }, "no object \"weight_map\""},
      {"EmptyWeightMap", [&](const fs::path& f) { index(f, "{}"); }, "weight_map is empty"},
      {"FileIsANumber", [&](const fs::path& f) { index(f, R"({"a":1})"); }, "gives tensor \"a\" no file name"},
      {"TensorTwiceInTheIndex", [&](const fs::path& f) { index(f, R"({"a":")" + one + R"(","a":")" + two + "\"}"); },
       "the key \"a\" appears twice"},
      {"Parent", [&](const fs::path& f) { index(f, map("../model.safetensors", two)); },
       "not the name of a .safetensors file in the same folder"},
      {"Absolute", [&](const fs::path& f) { index(f, map("/etc/x.safetensors", two)); }, "not the name of a .safetensors file"},
      {"OtherKind", [&](const fs::path& f) { index(f, map("/etc/passwd", two)); }, "not the name of a .safetensors file"},
      {"DotDot", [&](const fs::path& f) { index(f, map("..", two)); }, "not the name of a .safetensors file"},
      {"Nul", [&](const fs::path& f) { index(f, map("a\\u0000.safetensors", two)); }, "not the name of a .safetensors file"},
      {"MissingShard", [&](const fs::path& f) { put_tensors(f / one, {"a"}), index(f, map(one, two)); },
       "00002-of-00002.safetensors is missing"},
      {"TensorNotInItsShard", [&](const fs::path& f) { put_tensors(f / one, {"a"}), put_tensors(f / two, {"c"}), index(f, map(one, two)); },
       "which does not hold it"},
      {"TensorInTheOtherShard",
       [&](const fs::path& f) { put_tensors(f / one, {"b"}), put_tensors(f / two, {"a"}), index(f, map(one, two)); },
       "which does not hold it"},
      {"TensorNotInTheIndex",
       [&](const fs::path& f) {
         put_tensors(f / one, {"a", "c"}), put_tensors(f / two, {"b"}), index(f, map(one, two));
       },
       "does not put there"},
      {"TensorInBothShards",
       [&](const fs::path& f) {
         put_tensors(f / one, {"a"}), put_tensors(f / two, {"a", "b"}), index(f, map(one, two));
       },
       "\"a\""},
      {"CutShard", [&](const fs::path& f) { put_file(f / one, "123"), put_tensors(f / two, {"b"}), index(f, map(one, two)); },
       "3 bytes are too few"},
  };
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.name);
    const ScratchFolder scratch;
    fault.make(scratch.path());
    const std::string message = error_of([&] { WeightFolder folder(scratch.path()); });
    EXPECT_NE(message.find(fault.message), std::string::npos) << message;
  }
  const ScratchFolder scratch;
  EXPECT_NE(error_of([&] { WeightFolder folder(scratch / "absent"); }).find("is not a folder"), std::string::npos);
}

TEST(WeightFolder, ReadsRealShardsAndWritesThemBackAsTheyWere) {
  const fs::path path = fs::path(SLUICE_SHARED_DIR) / "data/weights/stories260K-mixtral";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is not here";
  const WeightFolder folder(path);
  const ScratchFolder scratch;
  std::vector<TensorSpec> specs;
  for (const std::string& name : folder.names()) specs.push_back(folder.require(name).spec());
  write_weight_folder(
      scratch / "m", specs, [&](std::size_t i) { return folder.require(specs[i].name).bytes; }, folder.num_bytes() / 3);
  const WeightFolder copy(scratch / "m");
  EXPECT_EQ(copy.names(), folder.names());
  for (const std::string& name : folder.names()) {
    EXPECT_EQ(copy.require(name).shape, folder.require(name).shape);
    EXPECT_EQ(values_of<std::uint8_t>(copy.require(name).bytes), values_of<std::uint8_t>(folder.require(name).bytes)) << name;
  }
}

}  // namespace
}  // namespace sluice::checkpoint
