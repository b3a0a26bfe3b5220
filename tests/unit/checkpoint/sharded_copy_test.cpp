// Folders of PyTorch's HuggingFaceStorageWriter, copied whole for tests/parity/test_torch_dist.py to compare.
#include <cstdlib>

#include "scratch.h"
#include "sluice/checkpoint/sharded.h"

namespace sluice::checkpoint {
namespace {

TEST(ShardedFolder, CopiesWhatPyTorchWrote) {
  const char* const path = std::getenv("SLUICE_TORCH_SHARDS");
  if (!path) GTEST_SKIP() << "SLUICE_TORCH_SHARDS names no folder";
  ShardedFolder folder(path);
  std::vector<TensorSpec> specs;
  for (const std::string& name : folder.names()) specs.push_back({name, folder.find(name)->dtype, folder.find(name)->shape});
  std::vector<std::byte> buffer;
  const auto source = [&](std::size_t i) {
    buffer.resize(specs[i].num_bytes());
    folder.read(specs[i].name, buffer);
    return std::span<const std::byte>(buffer);
  };
  write_safetensors(std::string(path) + ".copied", specs, source, {}, SafetensorsWriter::Checksums::kNone, nullptr);
}

}  // namespace
}  // namespace sluice::checkpoint
