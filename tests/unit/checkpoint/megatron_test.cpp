#include <cstdlib>
#include <tuple>

#include "scratch.h"
#include "sluice/checkpoint/coverage.h"
#include "sluice/checkpoint/dcp_folder.h"
#include "sluice/checkpoint/hf_folder.h"
#include "sluice/checkpoint/megatron_names.h"
#include "sluice/checkpoint/megatron_ranks.h"

namespace sluice::checkpoint {
namespace {

using Naming = MegatronNaming;
using Shape = std::vector<std::int64_t>;

Json tiny_mixtral() {
  return {{"model_type", "mixtral"}, {"num_hidden_layers", 2},      {"hidden_size", 8},       {"vocab_size", 10},
          {"intermediate_size", 6},  {"num_attention_heads", 4},    {"num_local_experts", 3}, {"num_key_value_heads", 2},
          {"head_dim", 2},           {"tie_word_embeddings", false}};
}

const MegatronSlice& only(const std::vector<const MegatronSlice*>& slices) {
  EXPECT_EQ(slices.size(), 1u);
  return *slices.at(0);
}

TEST(MegatronNames, InterleaveQueriesKeysAndValuesByGroup) {
  const MegatronMap map = megatron_map(megatron_sizes(tiny_mixtral(), "config.json"), {});
  const std::string fused = "decoder.layers.1.self_attention.linear_qkv.weight", hf = "model.layers.1.self_attn.";
  EXPECT_EQ(map.megatron.at(fused), (Shape{16, 8}));
  // Two groups of two query heads, a key head and a value head, of two rows each.
  const auto slices = map.of_megatron(fused);
  ASSERT_EQ(slices.size(), 6u);
  const std::vector<std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t>> expected = {
      {hf + "q_proj.weight", 0, 0, 4}, {hf + "k_proj.weight", 0, 4, 2},  {hf + "v_proj.weight", 0, 6, 2},
      {hf + "q_proj.weight", 4, 8, 4}, {hf + "k_proj.weight", 2, 12, 2}, {hf + "v_proj.weight", 2, 14, 2}};
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const auto& [name, hf_row, row, rows] = expected[i];
    EXPECT_EQ(slices[i]->hf, name);
    EXPECT_EQ(slices[i]->hf_box, (Box{{hf_row, 0}, {rows, 8}}));
    EXPECT_EQ(slices[i]->megatron_box, (Box{{row, 0}, {rows, 8}}));
  }
}

TEST(MegatronNames, PutGateBeforeUpAndNumberOrStackExperts) {
  const MegatronSizes sizes = megatron_sizes(tiny_mixtral(), "config.json");
  const std::string up = "model.layers.1.block_sparse_moe.experts.2.w3.weight";
  const MegatronMap numbered = megatron_map(sizes, {});
  EXPECT_EQ(only(numbered.of_hf(up)).megatron, "decoder.layers.1.mlp.experts.linear_fc1.weight2");
  EXPECT_EQ(only(numbered.of_hf(up)).megatron_box, (Box{{6, 0}, {6, 8}}));
  const MegatronMap stacked = megatron_map(sizes, {.layers = Naming::Layers::kStacked, .experts = Naming::Experts::kStacked});
  EXPECT_EQ(only(stacked.of_hf(up)).megatron, "decoder.layers.mlp.experts.experts.linear_fc1.weight");
  EXPECT_EQ(only(stacked.of_hf(up)).megatron_box, (Box{{1, 2, 6, 0}, {1, 1, 6, 8}}));
  EXPECT_EQ(stacked.megatron.at("decoder.layers.mlp.experts.experts.linear_fc1.weight"), (Shape{2, 3, 12, 8}));
  EXPECT_EQ(stacked.megatron.at("decoder.layers.self_attention.linear_qkv.layer_norm_weight"), (Shape{2, 8}));
  const MegatronMap singleton = megatron_map(sizes, {.experts = Naming::Experts::kNumbered, .gate = Naming::Gate::kApart});
  EXPECT_EQ(only(singleton.of_hf(up)).megatron, "decoder.layers.1.mlp.experts.experts.2.linear_fc1.weight_v");
  EXPECT_EQ(only(singleton.of_hf(up)).megatron_box, whole({6, 8}));
}

// Of both sides: every element in exactly one slice, and slices of equal sizes. Padding rows of the vocabulary are in none.
void check_complete(const MegatronMap& map, std::int64_t vocab) {
  std::map<std::string, std::vector<LocatedBox>> hf, megatron;
  for (const MegatronSlice& slice : map.slices) {
    EXPECT_EQ(num_elements(slice.hf_box), num_elements(slice.megatron_box));
    hf[slice.hf].push_back({slice.hf_box, slice.megatron});
    megatron[slice.megatron].push_back({slice.megatron_box, slice.hf});
  }
  EXPECT_EQ(hf.size(), map.hf.size());
  EXPECT_EQ(megatron.size(), map.megatron.size());
  for (const auto& [name, shape] : map.hf) EXPECT_NO_THROW(check_coverage(name, shape, hf[name]));
  for (auto [name, shape] : map.megatron) {
    if (name == "embedding.word_embeddings.weight" || name == "output_layer.weight") shape[0] = vocab;
    EXPECT_NO_THROW(check_coverage(name, shape, megatron[name]));
  }
}

const std::vector<std::string> kFamilies = {"mixtral",     "qwen2_moe", "qwen3_moe",   "deepseek_v2", "deepseek_v2_lite",
                                            "deepseek_v3", "llama",     "llama3_rope", "mistral",     "qwen2"};

TEST(MegatronNames, CoverEveryTensorOfEveryGoldenModelOnceUnderEveryNaming) {
  const fs::path golden = fs::path(SLUICE_SHARED_DIR) / "golden/models";
  if (!fs::exists(golden)) GTEST_SKIP() << golden << " is not here";
  for (const std::string& family : kFamilies) {
    SCOPED_TRACE(family);
    const MegatronSizes sizes = megatron_sizes(parse_json(read_file(golden / family / "config.json"), "config.json"), "config.json");
    MegatronMap::Shapes in_file;
    const SafetensorsFile file(golden / family / "model.safetensors");
    for (const TensorView& tensor : file.tensors()) in_file[tensor.name] = tensor.shape;
    for (const auto layers : {Naming::Layers::kNumbered, Naming::Layers::kStacked}) {
      if (layers == Naming::Layers::kStacked && !sizes.all_layers_alike()) continue;
      for (const auto experts :
           {Naming::Experts::kNumberedWeights, Naming::Experts::kLocalExperts, Naming::Experts::kStacked, Naming::Experts::kNumbered}) {
        for (const auto gate : {Naming::Gate::kFused, Naming::Gate::kApart}) {
          if (gate == Naming::Gate::kApart && experts != Naming::Experts::kNumbered) continue;
          for (const auto norms : {Naming::Norms::kFused, Naming::Norms::kApart}) {
            const Naming naming{layers, experts, gate, norms, 128};
            const MegatronMap map = megatron_map(sizes, naming);
            EXPECT_EQ(map.hf, in_file);
            check_complete(map, sizes.vocab);
            const auto shape_of = [&](std::string_view name) {
              const auto found = map.megatron.find(name);
              return found == map.megatron.end() ? nullptr : &found->second;
            };
            const Naming detected = detect_megatron_naming(sizes, shape_of, "made up");
            EXPECT_TRUE(megatron_map(sizes, detected).megatron == map.megatron) << "the naming is not recognised";
          }
        }
      }
    }
  }
}

TEST(MegatronNames, RefuseWhatTheyCannotName) {
  Json mixed = tiny_mixtral();
  mixed["model_type"] = "qwen3_moe";
  mixed["mlp_only_layers"] = {0};
  mixed["moe_intermediate_size"] = 4;
  const MegatronSizes sizes = megatron_sizes(mixed, "config.json");
  EXPECT_NE(error_of([&] { megatron_map(sizes, {.layers = Naming::Layers::kStacked}); }).find("1 of whose 2 layers"), std::string::npos);
  EXPECT_NE(error_of([&] { megatron_map(sizes, {.vocab_rows = 9}); }).find("9 rows, fewer than vocab_size = 10"), std::string::npos);
  EXPECT_NE(error_of([&] {
              detect_megatron_naming(
                  sizes, [](std::string_view) { return nullptr; }, "DIR");
            }).find("DIR has no tensor embedding"),
            std::string::npos);
  const auto message = [](const char* key, const Json& value) {
    Json config = tiny_mixtral();
    config[key] = value;
    return error_of([&] { megatron_sizes(config, "config.json"); });
  };
  EXPECT_NE(message("model_type", "gpt2").find("model_type is \"gpt2\""), std::string::npos);
  EXPECT_NE(message("hidden_size", -1).find("hidden_size is -1"), std::string::npos);
  EXPECT_NE(message("hidden_size", nullptr).find("hidden_size is missing"), std::string::npos);
  EXPECT_NE(message("num_key_value_heads", 3).find("num_key_value_heads is 3, not a divisor"), std::string::npos);
  EXPECT_NE(message("intermediate_size", std::int64_t{1} << 40).find("below 2^28"), std::string::npos);
}

TEST(MegatronNames, LeaveNoWeightBehind) {
  const MegatronMap map = megatron_map(megatron_sizes(tiny_mixtral(), "config.json"), {});
  std::vector<std::string> names = {"decoder.layers.0.mlp.router.local_tokens_per_expert",
                                    "decoder.layers.0.self_attention.linear_qkv._extra_state",
                                    "optimizer.state.exp_avg.decoder.layers.9.mlp.router.weight", "mtp.layers.0.enorm.weight"};
  for (const auto& [name, shape] : map.megatron) names.push_back(name);
  EXPECT_NO_THROW(check_nothing_left(map, names, "DIR"));
  names.push_back("decoder.layers.2.mlp.router.weight");
  names.push_back("decoder.layers.1.self_attention.linear_qkv.bias");
  EXPECT_NE(error_of([&] {
              check_nothing_left(map, names, "DIR");
            }).find("DIR holds 2 weights that this model does not have: \"decoder.layers.2.mlp.router.weight\", \"decoder.layers.1"),
            std::string::npos);
}

TEST(MegatronRanks, FindTheLatestIteration) {
  const ScratchFolder folder;
  EXPECT_EQ(latest_megatron_iteration(folder.path()), folder.path());
  put_file(folder / "latest_checkpointed_iteration.txt", "500\n");
  EXPECT_EQ(latest_megatron_iteration(folder.path()), folder / "iter_0000500");
  put_file(folder / "latest_checkpointed_iteration.txt", "release");
  EXPECT_EQ(latest_megatron_iteration(folder.path()), folder / "release");
  put_file(folder / "latest_checkpointed_iteration.txt", "../etc");
  EXPECT_NE(error_of([&] { latest_megatron_iteration(folder.path()); }).find("no iteration"), std::string::npos);
}

// One file of a rank: `tensors` under "model".
void put_rank(const fs::path& folder, const std::string& name, const std::vector<TensorSpec>& tensors) {
  fs::create_directories(folder / name);
  std::string bytes;
  TorchArchiveWriter out(TorchArchiveWriter::Root::kDict, tensors,
                         [&](std::span<const std::byte> more) { bytes.append(reinterpret_cast<const char*>(more.data()), more.size()); });
  for (const TensorSpec& tensor : tensors) out.append(std::vector<std::byte>(tensor.num_bytes()));
  out.finish();
  put_file(folder / name / "model_optim_rng.pt", bytes);
}

TEST(MegatronRanks, RefuseFoldersThatAreNone) {
  const ScratchFolder folder;
  const MegatronSizes sizes = megatron_sizes(tiny_mixtral(), "config.json");
  const auto message = [&] { return error_of([&] { MegatronRanks(folder.path(), sizes); }); };
  EXPECT_NE(message().find("holds no mp_rank_*"), std::string::npos);
  put_rank(folder.path(), "mp_rank_00", {{"weights", DType::kF32, {2}}});
  EXPECT_NE(message().find("holds no model, but a dict of 1"), std::string::npos);
  put_rank(folder.path(), "mp_rank_00_001", {{"weights", DType::kF32, {2}}});
  EXPECT_NE(message().find("numbered in another way"), std::string::npos);
  put_rank(folder.path(), "mp_rank_x", {});
  fs::remove_all(folder / "mp_rank_00_001");
  put_rank(folder.path(), "mp_rank_00", {{"model", DType::kF32, {2}}});
  EXPECT_NE(message().find("the model is an object"), std::string::npos);
}

// What both kinds of Megatron checkpoints offer.
struct Source {
  std::function<DType(const std::string&)> dtype;
  std::function<void(const std::string&, const Box&, std::span<std::byte>)> read;
};

void write_hf(const MegatronMap& map, const Source& source, const fs::path& path) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, shape] : map.hf) specs.push_back({name, source.dtype(map.of_hf(name).at(0)->megatron), shape});
  std::vector<std::byte> buffer, piece;
  const auto bytes = [&](std::size_t i) {
    buffer.assign(specs[i].num_bytes(), std::byte{0xEE});
    for (const MegatronSlice* slice : map.of_hf(specs[i].name)) {
      piece.resize(num_elements(slice->hf_box) * size_bytes(specs[i].dtype));
      source.read(slice->megatron, slice->megatron_box, piece);
      copy_shared(piece, slice->hf_box, buffer, whole(specs[i].shape), size_bytes(specs[i].dtype));
    }
    return std::span<const std::byte>(buffer);
  };
  write_safetensors(path, specs, bytes, {}, SafetensorsWriter::Checksums::kNone, nullptr);
}

// tests/parity/test_megatron.py has Megatron's layouts made by PyTorch and compares what becomes of them.
TEST(MegatronFolders, BecomeHuggingFaces) {
  const char* const folder = std::getenv("SLUICE_MEGATRON");
  if (!folder) GTEST_SKIP() << "SLUICE_MEGATRON names no folder";
  const fs::path path = latest_megatron_iteration(folder), out = fs::path(folder) / "hf.copied";
  const MegatronSizes sizes = megatron_sizes(parse_json(read_file(fs::path(folder) / "config.json"), "config.json"), "config.json");
  if (!fs::exists(path / ".metadata")) {
    const MegatronRanks ranks(path, sizes);
    return write_hf(ranks.map(),
                    {[&](const std::string& name) { return ranks.find(name)->dtype; },
                     [&](const std::string& name, const Box& box, std::span<std::byte> bytes) { ranks.read(name, box, bytes); }},
                    out);
  }
  const DcpFolder dcp(path);
  const auto shape_of = [&](std::string_view name) { return dcp.find(name) ? &dcp.find(name)->shape : nullptr; };
  const MegatronMap map = megatron_map(sizes, detect_megatron_naming(sizes, shape_of, path.string()));
  check_nothing_left(map, dcp.names(), path.string());
  for (const auto& [name, shape] : map.megatron) {
    ASSERT_NE(dcp.find(name), nullptr) << name;
    EXPECT_EQ(dcp.find(name)->shape, shape) << name;
  }
  write_hf(map,
           {[&](const std::string& name) { return dcp.find(name)->dtype; },
            [&](const std::string& name, const Box& box, std::span<std::byte> bytes) { dcp.read(name, box, bytes); }},
           out);
}

// The way back: a Hugging Face folder as torch_dist, each slice a chunk of its own, by two ranks in turn.
TEST(MegatronFolders, AreMadeOfHuggingFaces) {
  const char* const path = std::getenv("SLUICE_HF_TO_MEGATRON");
  if (!path) GTEST_SKIP() << "SLUICE_HF_TO_MEGATRON names no folder";
  const fs::path folder = path;
  const MegatronSizes sizes = megatron_sizes(parse_json(read_file(folder / "config.json"), "config.json"), "config.json");
  Naming naming{.experts = Naming::Experts::kStacked};
  if (sizes.all_layers_alike()) naming.layers = Naming::Layers::kStacked;
  const MegatronMap map = megatron_map(sizes, naming);
  const WeightFolder weights(folder);
  std::vector<DcpMetadata> written;
  for (std::size_t rank = 0; rank < 2; ++rank) {
    std::vector<TensorPart> parts;
    std::vector<const MegatronSlice*> sources;
    for (std::size_t i = rank; i < map.slices.size(); i += 2) {
      const MegatronSlice& slice = map.slices[i];
      parts.push_back({slice.megatron, weights.require(slice.hf).dtype, map.megatron.at(slice.megatron), slice.megatron_box});
      sources.push_back(&slice);
    }
    std::vector<std::byte> buffer;
    const auto bytes = [&](std::size_t i) {
      const TensorView& tensor = weights.require(sources[i]->hf);
      buffer.resize(num_elements(sources[i]->hf_box) * size_bytes(tensor.dtype));
      copy_shared(tensor.bytes, whole(tensor.shape), buffer, sources[i]->hf_box, size_bytes(tensor.dtype));
      return std::span<const std::byte>(buffer);
    };
    fs::create_directories(folder / "dcp");
    written.push_back(write_dcp_shard(folder / "dcp", static_cast<int>(rank), parts, bytes));
  }
  write_dcp_index(folder / "dcp", written);
}

}  // namespace
}  // namespace sluice::checkpoint
