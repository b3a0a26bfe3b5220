#include "sluice/base/user_error.h"

#include <filesystem>
#include <new>
#include <string_view>

namespace sluice {
namespace {

// libtorch's allocator tells of its failure in words alone.
bool is_out_of_memory(const std::exception& failure) {
  return dynamic_cast<const std::bad_alloc*>(&failure) || std::string_view(failure.what()).find("DefaultCPUAllocator: can't allocate memory") != std::string_view::npos;
}

}  // namespace

std::optional<Error> user_error(const std::exception& failure) {
  if (const auto* error = dynamic_cast<const Error*>(&failure)) return *error;
  if (dynamic_cast<const std::filesystem::filesystem_error*>(&failure)) {
    return Error(failure.what(), "check that the path exists, is of the right kind, and that you may use it");
  }
  if (is_out_of_memory(failure)) return Error("out of memory", "use a smaller batch (train.micro_batch_size, --batch-size) or model, or memory.recompute=full");
  return std::nullopt;
}

}  // namespace sluice
