#include <cmath>
#include <cstdlib>
#include <limits>

#include "scratch.h"
#include "sluice/checkpoint/bf16_bits.h"
#include "sluice/checkpoint/dequantize_fp8.h"
#include "sluice/checkpoint/dequantize_mxfp4.h"
#include "sluice/checkpoint/safetensors_writer.h"

namespace sluice::checkpoint {
namespace {

std::span<std::byte> writable(std::vector<std::uint16_t>& values) { return std::as_writable_bytes(std::span(values)); }

TEST(DequantizeFp8, MultipliesEachBlockByItsOwnScaleWithRaggedEdges) {
  // 3 rows of 5 columns in blocks of 2 x 3; 0x38 is 1.
  const std::vector<std::uint8_t> weight(15, 0x38);
  const std::vector<float> scales = {1, 2, 3, 4};
  std::vector<std::uint16_t> out(15);
  dequantize_fp8_rows(bytes_of(weight), bytes_of(scales), 0, 5, {2, 3}, writable(out));
  const std::uint16_t one = 0x3F80, two = 0x4000, three = 0x4040, four = 0x4080;
  EXPECT_EQ(out, (std::vector<std::uint16_t>{one, one, one, two, two, one, one, one, two, two, three, three, three, four, four}));
  std::vector<std::uint16_t> last(5);  // the last row alone
  dequantize_fp8_rows(bytes_of(weight).subspan(10), bytes_of(scales), 2, 5, {2, 3}, writable(last));
  EXPECT_EQ(last, (std::vector<std::uint16_t>{three, three, three, four, four}));
  EXPECT_EQ(fp8_scale_shape({3, 5}, {2, 3}), (std::vector<std::int64_t>{2, 2}));
}

TEST(DequantizeFp8, KnowsTheEndsOfItsRange) {
  // largest, smallest normal, largest and smallest denormal, -0, not a number
  const std::vector<std::uint8_t> weight = {0x7E, 0x08, 0x07, 0x01, 0x80, 0x7F};
  const std::vector<float> scales = {1};
  std::vector<std::uint16_t> out(6);
  dequantize_fp8_rows(bytes_of(weight), bytes_of(scales), 0, 6, {128, 128}, writable(out));
  EXPECT_EQ(out,
            (std::vector<std::uint16_t>{to_bf16(448), to_bf16(0.015625f), to_bf16(0.013671875f), to_bf16(0.001953125f), 0x8000, 0x7FC0}));
}

TEST(DequantizeFp8, ReadsTheBlockSizeFromTheConfig) {
  const Fp8Blocks blocks = fp8_blocks(Json{{"quant_method", "fp8"}, {"weight_block_size", {64, 32}}}, "config.json");
  EXPECT_EQ(blocks.rows, 64);
  EXPECT_EQ(blocks.columns, 32);
  const auto message = [](const Json& config) { return error_of([&] { fp8_blocks(config, "config.json"); }); };
  EXPECT_NE(message({{"quant_method", "gptq"}}).find("quant_method is \"gptq\""), std::string::npos);
  EXPECT_NE(message(Json::object()).find("quant_method is missing"), std::string::npos);
  EXPECT_NE(message({{"quant_method", "fp8"}}).find("weight_block_size is missing"), std::string::npos);
  EXPECT_NE(message({{"quant_method", "fp8"}, {"weight_block_size", {0, 128}}}).find("[0,128]"), std::string::npos);
  EXPECT_NE(message({{"quant_method", "fp8"}, {"weight_block_size", nullptr}}).find("null"), std::string::npos);
}

TEST(DequantizeMxfp4, TakesTheLowNibbleFirst) {
  std::vector<std::uint8_t> blocks(16, 0);
  blocks[0] = 0x72;                                // 1, then 6
  blocks[15] = 0xF9;                               // -0.5, then -6
  const std::vector<std::uint8_t> scales = {128};  // times 2
  std::vector<std::uint16_t> out(32);
  dequantize_mxfp4(bytes_of(blocks), bytes_of(scales), writable(out));
  EXPECT_EQ(out[0], to_bf16(2));
  EXPECT_EQ(out[1], to_bf16(12));
  EXPECT_EQ(out[30], to_bf16(-1));
  EXPECT_EQ(out[31], to_bf16(-12));
}

TEST(DequantizeMxfp4, TransposesAnExpertAsThePlainFormSays) {
  constexpr std::size_t kRows = 3, kGroups = 2, kColumns = kGroups * 32;
  std::vector<std::uint8_t> blocks(kRows * kGroups * 16), scales(kRows * kGroups);
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<std::uint8_t>(i * 37);
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<std::uint8_t>(120 + i);
  std::vector<std::uint16_t> plain(kRows * kColumns), transposed(plain.size());
  dequantize_mxfp4(bytes_of(blocks), bytes_of(scales), writable(plain));
  dequantize_mxfp4_transposed(bytes_of(blocks), bytes_of(scales), kRows, writable(transposed));
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t c = 0; c < kColumns; ++c) ASSERT_EQ(transposed[c * kRows + r], plain[r * kColumns + c]) << r << " " << c;
}

TEST(Bf16Bits, RoundsToNearestEven) {
  EXPECT_EQ(to_bf16(1.0f), 0x3F80);
  EXPECT_EQ(to_bf16(1.00390625f), 0x3F80);  // half way: down to even
  EXPECT_EQ(to_bf16(1.01171875f), 0x3F82);  // half way: up to even
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(to_bf16(-std::numeric_limits<float>::infinity()), 0xFF80);
}

// tests/parity/test_dequantize.py gives quantised files and compares what comes out with transformers. Reads two rows at a time.
TEST(Dequantize, ConvertsFilesForTransformers) {
  const char* const folder = std::getenv("SLUICE_QUANTISED");
  if (!folder) GTEST_SKIP() << "SLUICE_QUANTISED names no folder";
  const SafetensorsFile file(fs::path(folder) / "model.safetensors");
  const Json config = parse_json(read_file(fs::path(folder) / "config.json"), "config.json");
  std::vector<TensorSpec> specs;
  std::vector<std::vector<std::uint16_t>> values;
  for (const TensorView& tensor : file.tensors()) {
    if (const TensorView* scales = file.find(tensor.name + "_scale_inv")) {
      const Fp8Blocks blocks = fp8_blocks(config.at("quantization_config"), "config.json");
      ASSERT_EQ(scales->shape, fp8_scale_shape(tensor.shape, blocks));
      std::vector<std::uint16_t> out(tensor.bytes.size());
      const auto columns = static_cast<std::size_t>(tensor.shape[1]);
      for (std::size_t row = 0; row < static_cast<std::size_t>(tensor.shape[0]); row += 2) {
        const std::size_t count = std::min<std::size_t>(2, static_cast<std::size_t>(tensor.shape[0]) - row) * columns;
        dequantize_fp8_rows(tensor.bytes.subspan(row * columns, count), scales->bytes, static_cast<std::int64_t>(row), tensor.shape[1],
                            blocks, writable(out).subspan(2 * row * columns, 2 * count));
      }
      specs.push_back({tensor.name, DType::kBF16, tensor.shape});
      values.push_back(std::move(out));
    } else if (tensor.name.ends_with("_blocks")) {
      const std::string name = tensor.name.substr(0, tensor.name.size() - 7);
      const TensorView& exponents = file.require(name + "_scales");
      const std::int64_t experts = tensor.shape[0], rows = tensor.shape[1], columns = tensor.shape[2] * kMxfp4GroupElements;
      std::vector<std::uint16_t> out(2 * tensor.bytes.size());
      const std::size_t each = tensor.bytes.size() / static_cast<std::size_t>(experts),
                        scales_each = exponents.bytes.size() / static_cast<std::size_t>(experts);
      for (std::size_t e = 0; e < static_cast<std::size_t>(experts); ++e) {
        dequantize_mxfp4_transposed(tensor.bytes.subspan(e * each, each), exponents.bytes.subspan(e * scales_each, scales_each), rows,
                                    writable(out).subspan(e * each * 4, each * 4));
      }
      specs.push_back({name, DType::kBF16, {experts, columns, rows}});
      values.push_back(std::move(out));
    }
  }
  write_safetensors(
      fs::path(folder) / "bf16.safetensors", specs, [&](std::size_t i) { return bytes_of(values[i]); }, {},
      SafetensorsWriter::Checksums::kNone, nullptr);
}

}  // namespace
}  // namespace sluice::checkpoint
