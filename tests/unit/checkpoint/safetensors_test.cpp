#include "sluice/checkpoint/safetensors.h"

#include <cstdint>
#include <memory>

#include "scratch.h"

namespace sluice::checkpoint {
namespace {

// A file as the format asks for it, from its header's text and its data.
std::string assemble(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + data;
}

// Parses from a heap block of exactly the file's size: address sanitizer then sees a read of one byte too many.
SafetensorsContents parse(const std::string& file, std::unique_ptr<std::byte[]>& keep) {
  keep.reset(new std::byte[file.size()]);
  std::memcpy(keep.get(), file.data(), file.size());
  return parse_safetensors({keep.get(), file.size()}, "a.safetensors");
}

TEST(Safetensors, ReadsAFileWrittenByHand) {
  const ScratchFolder folder;
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},)"
      R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"none":{"dtype":"I64","shape":[0,4],"data_offsets":[8,8]},)"
      R"("scalar":{"data_offsets":[11,13],"shape":[],"dtype":"BF16"}}   )";
  put_file(folder / "a.safetensors", assemble(header, std::string("\0\0\x80\x3F\0\0\0\xC0\1\2\3\x80\x3F", 13)));
  const SafetensorsFile file(folder / "a.safetensors");
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[3].name, "scalar");
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  const TensorView* a = file.find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->dtype, DType::kF32);
  EXPECT_EQ(a->shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(values_of<float>(a->bytes), (std::vector<float>{1.0f, -2.0f}));
  EXPECT_EQ(values_of<std::uint8_t>(file.require("b").bytes), (std::vector<std::uint8_t>{1, 2, 3}));
  EXPECT_TRUE(file.require("none").bytes.empty());
  EXPECT_EQ(values_of<std::uint16_t>(file.require("scalar").bytes), (std::vector<std::uint16_t>{0x3F80}));
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST(Safetensors, ReadsAnEmptyFile) {
  std::unique_ptr<std::byte[]> keep;
  EXPECT_TRUE(parse(assemble("{}", ""), keep).tensors.empty());
  EXPECT_TRUE(parse(assemble("{}      ", ""), keep).tensors.empty());
}

TEST(Safetensors, NamesTheNearestTensorWhenOneIsMissing) {
  const ScratchFolder folder;
  put_file(folder / "a.safetensors", assemble(R"({"lm_head.weight":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"));
  const SafetensorsFile file(folder / "a.safetensors");
  EXPECT_NE(error_of([&] { file.require("lm_haed.weight"); }).find("nearest name is \"lm_head.weight\""), std::string::npos);
}

TEST(Safetensors, NamesTheFileThatIsMissingOrAFolder) {
  const ScratchFolder folder;
  EXPECT_NE(error_of([&] { SafetensorsFile(folder / "absent.safetensors"); }).find("absent.safetensors"), std::string::npos);
  EXPECT_NE(error_of([&] { SafetensorsFile(folder.path()); }).find("is a folder"), std::string::npos);
}

TEST(Safetensors, EveryTruncationOfAFileIsAnError) {
  const std::string file = assemble(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})", "12345678abc");
  std::unique_ptr<std::byte[]> keep;
  EXPECT_EQ(parse(file, keep).tensors.size(), 2u);
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(error_of([&] { parse(file.substr(0, size), keep); }).find("a.safetensors: "), std::string::npos) << size;
  }
}

TEST(Safetensors, EveryFlippedBitOfAHeaderIsReadOrRefusedWithoutACrash) {
  const std::string file = assemble(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678");
  std::unique_ptr<std::byte[]> keep;
  int num_refused = 0;
  for (std::size_t bit = 0; bit < (file.size() - 8) * 8; ++bit) {
    std::string damaged = file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    try {
      const SafetensorsContents contents = parse(damaged, keep);
      for (const TensorView& tensor : contents.tensors) EXPECT_EQ(tensor.bytes.size(), tensor.spec().num_bytes());
    } catch (const Error&) {
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, 300);  // what is left renames the tensor or changes a type for one of the same size
}

struct Hostile {
  const char* name;
  std::string file;
  const char* message;  // a part of it
};

std::string tensor_fields(const std::string& fields) { return assemble("{\"a\":{" + fields + "}}", "12345678"); }

std::vector<Hostile> hostile_files() {
  const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  std::string long_name(200'000, 'n');
  std::string deep(100'000, '[');
  std::uint64_t huge = 100'000'001;
  std::string huge_header(8, '\0');
  std::memcpy(huge_header.data(), &huge, 8);
  return {
      {"Empty", "", "0 bytes are too few"},
      {"SevenBytes", "1234567", "7 bytes are too few"},
      {"LengthOfAllOnes", std::string(8, '\xFF') + "{}", "more than the limit"},
      {"LengthAboveLimit", huge_header + "{}", "100000001 bytes, more than the limit of 100000000"},
      {"LengthPastTheEnd", std::string("\x03\0\0\0\0\0\0\0{}", 10), "claims 3 bytes, but only 2 follow"},
      {"NoHeader", assemble("", ""), "does not begin with '{'"},
      {"HeaderIsAList", assemble("[]", ""), "does not begin with '{'"},
      {"HeaderIsText", assemble("\"a\"", ""), "does not begin with '{'"},
      {"SpaceBeforeTheHeader", assemble(" {}", ""), "does not begin with '{'"},
      {"ByteOrderMark", assemble("\xEF\xBB\xBF{}", ""), "does not begin with '{'"},
      {"NotJson", assemble("{a}", ""), "not valid JSON"},
      {"CutJson", assemble("{\"a\":{", ""), "not valid JSON"},
      {"TextAfterTheHeader", assemble("{}x", ""), "not valid JSON"},
      {"TwoHeaders", assemble("{}{}", ""), "not valid JSON"},
      {"NulAfterTheHeader", assemble(std::string("{}\0\0", 4), ""), "NUL byte"},
      {"NotUtf8", assemble("{\"\xFF\":{}}", ""), "not valid JSON"},
      {"DeepNesting", assemble("{\"a\":" + deep, ""), "holds an array"},
      {"DeepObjects", assemble("{\"a\":{\"dtype\":{\"b\":{}}}}", ""), "holds an object"},
      {"TensorIsANumber", assemble("{\"a\":1}", ""), "tensor \"a\" holds the number 1"},
      {"TensorIsText", assemble("{\"a\":\"F32\"}", ""), "holds the text"},
      {"TensorIsNull", assemble("{\"a\":null}", ""), "holds null"},
      {"TensorIsTrue", assemble("{\"a\":true}", ""), "holds true or false"},
      {"TensorIsAList", assemble("{\"a\":[]}", ""), "holds an array"},
      {"NoFields", tensor_fields(""), "has no dtype"},
      {"NoDType", tensor_fields(R"("shape":[2],"data_offsets":[0,8])"), "has no dtype"},
      {"NoShape", tensor_fields(R"("dtype":"F32","data_offsets":[0,8])"), "has no shape"},
      {"NoOffsets", tensor_fields(R"("dtype":"F32","shape":[2])"), "has no data_offsets"},
      {"DTypeTwice", tensor_fields(good + R"(,"dtype":"F32")"), "\"dtype\" twice"},
      {"ShapeTwice", tensor_fields(R"("shape":[1],)" + good), "\"shape\" twice"},
      {"OffsetsTwice", tensor_fields(good + R"(,"data_offsets":[0,8])"), "\"data_offsets\" twice"},
      {"UnknownField", tensor_fields(good + R"(,"strides":[1])"), "the field \"strides\""},
      {"UnknownDType", tensor_fields(R"("dtype":"F33","shape":[2],"data_offsets":[0,8])"), "has the type \"F33\""},
      {"DTypeInSmallLetters", tensor_fields(R"("dtype":"f32","shape":[2],"data_offsets":[0,8])"), "has the type \"f32\""},
      {"DTypeIsANumber", tensor_fields(R"("dtype":4,"shape":[2],"data_offsets":[0,8])"), "holds the number 4"},
      {"ShapeIsANumber", tensor_fields(R"("dtype":"F32","shape":2,"data_offsets":[0,8])"), "holds the number 2"},
      {"ShapeHoldsText", tensor_fields(R"("dtype":"F32","shape":["2"],"data_offsets":[0,8])"), "holds the text \"2\""},
      {"ShapeHoldsNull", tensor_fields(R"("dtype":"F32","shape":[null],"data_offsets":[0,8])"), "holds null"},
      {"ShapeHoldsAList", tensor_fields(R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])"), "holds an array"},
      {"NegativeDim", tensor_fields(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "holds the number -2"},
      {"FractionalDim", tensor_fields(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), "holds the number \"2.0\""},
      {"DimPast63Bits", tensor_fields(R"("dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8])"),
       "holds the number 9223372036854775808"},
      {"DimPast64Bits", tensor_fields(R"("dtype":"F32","shape":[18446744073709551618],"data_offsets":[0,8])"),
       "holds the number \"18446744073709551618\""},
      {"ProductOverflows", tensor_fields(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"),
       "more elements than can be counted"},
      // 2^62 * 4 bytes wraps to 0 in 64 bits
      {"BytesWrapToZero", tensor_fields(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0])"),
       "more elements than can be counted"},
      {"OverflowBehindAZero", tensor_fields(R"("dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0])"),
       "more elements than can be counted"},
      {"SixtyFiveDims",
       tensor_fields(R"("dtype":"U8","shape":[)" +
                     [] {
                       std::string ones = "1";
                       for (int i = 0; i < 64; ++i) ones += ",1";
                       return ones;
                     }() +
                     R"(],"data_offsets":[0,1])"),
       "more than 64 dimensions"},
      {"OneOffset", tensor_fields(R"("dtype":"F32","shape":[2],"data_offsets":[0])"), "holds 1 offsets"},
      {"NoOffsetsInList", tensor_fields(R"("dtype":"F32","shape":[2],"data_offsets":[])"), "holds 0 offsets"},
      {"ThreeOffsets", tensor_fields(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])"), "a third offset"},
      {"NegativeOffset", tensor_fields(R"("dtype":"F32","shape":[2],"data_offsets":[-8,0])"), "holds the number -8"},
      {"FractionalOffset", tensor_fields(R"("dtype":"F32","shape":[2],"data_offsets":[0,8e0])"), "holds the number \"8e0\""},
      {"OffsetsBackwards", tensor_fields(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "end before they begin"},
      {"OffsetsPastTheEnd", tensor_fields(R"("dtype":"F32","shape":[2],"data_offsets":[4,12])"), "[4, 12), but the file holds 8 bytes"},
      {"OffsetsNear64Bits", tensor_fields(R"("dtype":"F32","shape":[2],"data_offsets":[18446744073709551607,18446744073709551615])"),
       "but the file holds 8 bytes"},
      {"ShapeSmallerThanOffsets", tensor_fields(R"("dtype":"F32","shape":[1],"data_offsets":[0,8])"), "needs 4 bytes"},
      {"ShapeLargerThanOffsets", tensor_fields(R"("dtype":"F64","shape":[2],"data_offsets":[0,8])"), "needs 16 bytes"},
      {"HoleAtTheStart", tensor_fields(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "leave the bytes from 0"},
      {"BytesAfterTheLastTensor", tensor_fields(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"),
       "the last 4 of 8 bytes belong to no tensor"},
      {"DataWithoutTensors", assemble("{}", "1"), "the last 1 of 1 bytes"},
      {"HoleBetween",
       assemble(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})", "123"),
       "tensor \"b\" has data_offsets [2, 3), which leave the bytes from 1"},
      {"Overlap",
       assemble(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", "123"),
       "overlap tensor \"a\" ending at 2"},
      {"SameBytesTwice",
       assemble(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "12"),
       "overlap"},
      {"EmptyTensorInsideAnother",
       assemble(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})", "12"),
       "overlap"},
      {"NameTwice",
       assemble(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "12"),
       "tensor \"a\" appears twice"},
      {"NameTwiceByEscape",
       assemble(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "12"),
       "tensor \"a\" appears twice"},
      {"MetadataIsText", assemble(R"({"__metadata__":"pt"})", ""), "holds the text \"pt\""},
      {"MetadataIsAList", assemble(R"({"__metadata__":[]})", ""), "holds an array"},
      {"MetadataHoldsANumber", assemble(R"({"__metadata__":{"step":1}})", ""), "\"__metadata__\" in the header holds the number 1"},
      {"MetadataHoldsAnObject", assemble(R"({"__metadata__":{"a":{}}})", ""), "holds an object"},
      {"MetadataTwice", assemble(R"({"__metadata__":{},"__metadata__":{}})", ""), "\"__metadata__\" twice"},
      {"MetadataKeyTwice", assemble(R"({"__metadata__":{"a":"1","a":"2"}})", ""), "the key \"a\" twice"},
      {"NameWithControlCharacters", assemble("{\"\\u001b[2J\":1}", ""), "tensor \"\\u001b[2J\""},
      {"LongName", assemble("{\"" + long_name + "\":1}", ""), "(200000 bytes)"},
  };
}

TEST(Safetensors, RefusesEveryHostileFileWithARemedy) {
  for (const Hostile& hostile : hostile_files()) {
    SCOPED_TRACE(hostile.name);
    std::unique_ptr<std::byte[]> keep;
    const std::string message = error_of([&] { parse(hostile.file, keep); });
    EXPECT_NE(message.find(hostile.message), std::string::npos) << message;
    EXPECT_NE(message.find("\n  fix: "), std::string::npos) << message;
    EXPECT_LT(message.size(), 1000u);
    EXPECT_EQ(message.find('\x1b'), std::string::npos) << "control characters reach the terminal";
  }
}

TEST(Safetensors, KnowsTheSizeOfEveryType) {
  for (const std::string& name : dtype_names()) {
    const auto dtype = dtype_named(name);
    ASSERT_TRUE(dtype.has_value()) << name;
    EXPECT_EQ(dtype_name(*dtype), name);
    // The number in a name is its bits; types without one hold a byte.
    const auto digit = name.find_first_of("0123456789");
    const std::size_t bits = digit == std::string::npos ? 8 : std::stoul(name.substr(digit));
    EXPECT_EQ(size_bytes(*dtype), bits / 8) << name;
  }
  EXPECT_FALSE(dtype_named("F4").has_value());
}

TEST(Safetensors, ReadsRealWeights) {
  const fs::path path = fs::path(SLUICE_SHARED_DIR) / "data/weights/stories260K/model.safetensors";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is not here";
  const SafetensorsFile file(path);
  std::uint64_t bytes = 0;
  for (const TensorView& tensor : file.tensors()) bytes += tensor.bytes.size();
  EXPECT_GT(file.tensors().size(), 40u);
  EXPECT_LT(bytes, fs::file_size(path));
  EXPECT_EQ(file.require("model.embed_tokens.weight").shape.size(), 2u);
}

}  // namespace
}  // namespace sluice::checkpoint
