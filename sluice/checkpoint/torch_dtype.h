// PyTorch's names of element types.
#pragma once
#include <optional>
#include <string_view>

#include "sluice/checkpoint/dtype.h"

namespace sluice::checkpoint {

std::optional<DType> torch_dtype_named(std::string_view name);    // "bfloat16"; nothing for one that we do not store
std::string_view torch_dtype_name(DType dtype);                   // "bfloat16"
std::optional<DType> torch_storage_dtype(std::string_view name);  // "BFloat16Storage"
// The name of its storage class; nothing for the newer types, which PyTorch keeps in an UntypedStorage.
std::optional<std::string_view> torch_storage_name(DType dtype);

}  // namespace sluice::checkpoint
