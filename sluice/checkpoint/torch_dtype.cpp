#include "sluice/checkpoint/torch_dtype.h"

#include <algorithm>
#include <array>

#include "sluice/base/error.h"

namespace sluice::checkpoint {
namespace {

struct Row {
  DType dtype;
  std::string_view name, storage;
};
constexpr std::array kRows = {
    Row{DType::kF64, "float64", "DoubleStorage"},
    Row{DType::kF32, "float32", "FloatStorage"},
    Row{DType::kF16, "float16", "HalfStorage"},
    Row{DType::kBF16, "bfloat16", "BFloat16Storage"},
    Row{DType::kI64, "int64", "LongStorage"},
    Row{DType::kI32, "int32", "IntStorage"},
    Row{DType::kI16, "int16", "ShortStorage"},
    Row{DType::kI8, "int8", "CharStorage"},
    Row{DType::kU64, "uint64", ""},
    Row{DType::kU32, "uint32", ""},
    Row{DType::kU16, "uint16", ""},
    Row{DType::kU8, "uint8", "ByteStorage"},
    Row{DType::kBool, "bool", "BoolStorage"},
    Row{DType::kF8E4M3, "float8_e4m3fn", ""},
    Row{DType::kF8E5M2, "float8_e5m2", ""},
    Row{DType::kF8E8M0, "float8_e8m0fnu", ""},
    Row{DType::kC64, "complex64", "ComplexFloatStorage"},
};

const Row& row(DType dtype) {
  const auto* const found = std::ranges::find(kRows, dtype, &Row::dtype);
  SLUICE_CHECK(found != kRows.end(), "an element type that PyTorch has no name for");
  return *found;
}

std::optional<DType> find(std::string_view name, std::string_view Row::*column) {
  if (name.empty()) return std::nullopt;
  const auto* const found = std::ranges::find(kRows, name, column);
  if (found == kRows.end()) return std::nullopt;
  return found->dtype;
}

}  // namespace

std::optional<DType> torch_dtype_named(std::string_view name) { return find(name, &Row::name); }
std::string_view torch_dtype_name(DType dtype) { return row(dtype).name; }
std::optional<DType> torch_storage_dtype(std::string_view name) { return find(name, &Row::storage); }

std::optional<std::string_view> torch_storage_name(DType dtype) {
  const std::string_view name = row(dtype).storage;
  if (name.empty()) return std::nullopt;
  return name;
}

}  // namespace sluice::checkpoint
