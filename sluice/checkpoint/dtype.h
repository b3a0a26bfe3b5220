// Element types of stored tensors, by safetensors' names; torch-free, so that files can be read and checked without libtorch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::checkpoint {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU64, kU32, kU16, kU8, kBool, kF8E4M3, kF8E5M2, kF8E8M0, kC64 };

std::size_t size_bytes(DType dtype);       // of one element
std::string_view dtype_name(DType dtype);  // safetensors' name: "F32", "BF16", "F8_E4M3", ...

// The type of that name; nothing for a name that is unknown or whose elements are smaller than a byte (F4, F6_...).
std::optional<DType> dtype_named(std::string_view name);
std::vector<std::string> dtype_names();

// Bytes of a tensor of that shape (no dims: one element). Nothing when a dim is negative or the dims other than 0, multiplied out,
// do not fit into 63 bits: no later arithmetic on such a shape can overflow.
std::optional<std::uint64_t> tensor_bytes(DType dtype, const std::vector<std::int64_t>& shape);

// "[4, 8]", for messages.
std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace sluice::checkpoint
