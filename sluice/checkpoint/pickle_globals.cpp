#include "sluice/checkpoint/pickle_globals.h"

#include <algorithm>
#include <array>

namespace sluice::checkpoint {
namespace {

struct Row {
  std::string_view module, name;
  GlobalMeaning meaning = GlobalMeaning::kOpaque;
};
constexpr std::string_view kMetadata = "torch.distributed.checkpoint.metadata";
constexpr std::string_view kPlanner = "torch.distributed.checkpoint.planner";
constexpr std::array kRows = {
    // torch.distributed.checkpoint's .metadata
    Row{kMetadata, "Metadata"},
    Row{kMetadata, "TensorStorageMetadata"},
    Row{kMetadata, "TensorProperties"},
    Row{kMetadata, "ChunkStorageMetadata"},
    Row{kMetadata, "BytesStorageMetadata"},
    Row{kMetadata, "MetadataIndex"},
    Row{kMetadata, "StorageMeta"},
    Row{kMetadata, "_MEM_FORMAT_ENCODING"},
    Row{"torch.distributed.checkpoint.filesystem", "_StorageInfo"},
    Row{"torch.distributed.checkpoint.filesystem", "_StoragePrefix"},
    // the plans that Megatron keeps in it
    Row{kPlanner, "SavePlan"},
    Row{kPlanner, "WriteItem"},
    Row{kPlanner, "WriteItemType"},
    Row{kPlanner, "TensorWriteData"},
    Row{kPlanner, "BytesIOWriteData"},
    Row{"torch.distributed._shard.sharded_tensor.metadata", "TensorProperties"},  // torch before 2.3
    Row{"torch.distributed._shard.sharded_tensor.metadata", "MEM_FORMAT_ENCODING"},
    // torch.save
    Row{"torch", "Size", GlobalMeaning::kSequence},
    Row{"torch", "device"},
    Row{"torch.serialization", "_get_layout"},
    Row{"torch._utils", "_rebuild_tensor"},
    Row{"torch._utils", "_rebuild_tensor_v2"},
    Row{"torch._utils", "_rebuild_tensor_v3"},
    Row{"torch._utils", "_rebuild_parameter"},
    Row{"torch.storage", "UntypedStorage"},
    Row{"torch.storage", "TypedStorage"},
    // Python's own
    Row{"collections", "OrderedDict", GlobalMeaning::kDict},
    Row{"collections", "defaultdict", GlobalMeaning::kDict},
    Row{"builtins", "dict", GlobalMeaning::kDict},
    Row{"builtins", "tuple", GlobalMeaning::kSequence},
    Row{"builtins", "list", GlobalMeaning::kList},
    Row{"builtins", "set", GlobalMeaning::kSet},
    Row{"builtins", "frozenset", GlobalMeaning::kSet},
    Row{"builtins", "bytearray", GlobalMeaning::kEncode},
    Row{"builtins", "getattr"},  // a member of an enum, as Python 3.12 writes it; as all others it is never called
    Row{"builtins", "complex"},
    Row{"_codecs", "encode", GlobalMeaning::kEncode},
    Row{"_io", "BytesIO"},
    Row{"argparse", "Namespace"},
    Row{"datetime", "timedelta"},
    Row{"pathlib", "Path"},
    Row{"pathlib", "PosixPath"},
    Row{"pathlib", "WindowsPath"},
    Row{"pathlib._local", "PosixPath"},  // Python 3.13
    Row{"signal", "Signals"},
    Row{"uuid", "UUID"},
    // random states that trainers keep
    Row{"numpy", "dtype"},
    Row{"numpy", "ndarray"},
    Row{"numpy.core.multiarray", "_reconstruct"},
    Row{"numpy.core.multiarray", "scalar"},
    Row{"numpy._core.multiarray", "_reconstruct"},
    Row{"numpy._core.multiarray", "scalar"},
};

// torch.float32, torch.FloatStorage and their like; functions of the same module are not among them.
constexpr std::array<std::string_view, 46> kTorchNames = {
    "float64",
    "float32",
    "float16",
    "bfloat16",
    "double",
    "float",
    "half",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
    "complex32",
    "complex64",
    "complex128",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "strided",
    "sparse_coo",
    "contiguous_format",
    "channels_last",
    "channels_last_3d",
    "preserve_format",
    "long",
    "short",
    "int",
    "DoubleStorage",
    "FloatStorage",
    "HalfStorage",
    "BFloat16Storage",
    "LongStorage",
    "IntStorage",
    "ShortStorage",
    "CharStorage",
    "ByteStorage",
    "BoolStorage",
    "ComplexFloatStorage",
    "ComplexDoubleStorage",
};

// Python 2's name of "builtins" is what protocol 2 writes.
std::string_view modern(std::string_view module) { return module == "__builtin__" ? "builtins" : module; }

}  // namespace

std::optional<GlobalMeaning> find_global(std::string_view module, std::string_view name) {
  module = modern(module);
  if (module == "torch" && std::ranges::find(kTorchNames, name) != kTorchNames.end()) return GlobalMeaning::kOpaque;
  // Megatron's arguments hold its own enums and settings, which move between its modules.
  if (module.starts_with("megatron.core.") || module.starts_with("megatron.training.") || module == "megatron.model.enums")
    return GlobalMeaning::kOpaque;
  const auto found = std::ranges::find_if(kRows, [&](const Row& row) { return row.module == module && row.name == name; });
  if (found == kRows.end()) return std::nullopt;
  return found->meaning;
}

}  // namespace sluice::checkpoint
