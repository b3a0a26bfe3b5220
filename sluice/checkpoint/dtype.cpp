#include "sluice/checkpoint/dtype.h"

#include <algorithm>
#include <array>
#include <limits>

namespace sluice::checkpoint {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  std::size_t size_bytes;
};
// In the order of the enumeration, so that a type's number is its row.
constexpr std::array kRows = {
    Row{DType::kF64, "F64", 8},   Row{DType::kF32, "F32", 4},        Row{DType::kF16, "F16", 2},        Row{DType::kBF16, "BF16", 2},
    Row{DType::kI64, "I64", 8},   Row{DType::kI32, "I32", 4},        Row{DType::kI16, "I16", 2},        Row{DType::kI8, "I8", 1},
    Row{DType::kU64, "U64", 8},   Row{DType::kU32, "U32", 4},        Row{DType::kU16, "U16", 2},        Row{DType::kU8, "U8", 1},
    Row{DType::kBool, "BOOL", 1}, Row{DType::kF8E4M3, "F8_E4M3", 1}, Row{DType::kF8E5M2, "F8_E5M2", 1}, Row{DType::kF8E8M0, "F8_E8M0", 1},
    Row{DType::kC64, "C64", 8},
};
constexpr bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i)
    if (kRows[i].dtype != static_cast<DType>(i)) return false;
  return true;
}
static_assert(in_order());

const Row& row(DType dtype) { return kRows[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::size_t size_bytes(DType dtype) { return row(dtype).size_bytes; }
std::string_view dtype_name(DType dtype) { return row(dtype).name; }

std::optional<DType> dtype_named(std::string_view name) {
  const auto found = std::ranges::find(kRows, name, &Row::name);
  if (found == kRows.end()) return std::nullopt;
  return found->dtype;
}

std::vector<std::string> dtype_names() {
  std::vector<std::string> names;
  for (const Row& r : kRows) names.emplace_back(r.name);
  return names;
}

std::optional<std::uint64_t> tensor_bytes(DType dtype, const std::vector<std::int64_t>& shape) {
  constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t bytes = size_bytes(dtype);
  bool empty = false;
  for (const std::int64_t dim : shape) {
    if (dim < 0) return std::nullopt;
    if (dim == 0) {
      empty = true;
      continue;
    }
    if (bytes > kLimit / static_cast<std::uint64_t>(dim)) return std::nullopt;
    bytes *= static_cast<std::uint64_t>(dim);
  }
  return empty ? 0 : bytes;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace sluice::checkpoint
