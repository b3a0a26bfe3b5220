// Feeds arbitrary bytes to the readers of PyTorch's files: what they accept must lie inside the input, what they refuse must be an Error.
// Needs no corpus, though a few files of PyTorch help; a smoke run of a minute, from the project's root:
//   clang++ -std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I. tests/fuzz/pickle_fuzz.cpp
//     sluice/checkpoint/{pickle,pickle_machine,pickle_objects,pickle_globals,zip_archive,zip_writer,torch_save,torch_dtype,dcp_metadata,box,dtype,strict_json}.cpp
//     sluice/base/{error,file,json,nearest,output_file}.cpp -lz -o build/pickle_fuzz
//   build/pickle_fuzz -max_total_time=60 -max_len=4096
// The first byte says what the rest is: a pickle, a .metadata, an archive, or the data.pkl of an archive that is sound.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "sluice/base/error.h"
#include "sluice/checkpoint/dcp_metadata.h"
#include "sluice/checkpoint/pickle.h"
#include "sluice/checkpoint/torch_save.h"

namespace {

using namespace sluice::checkpoint;

void require(bool condition) {
  if (!condition) std::abort();
}

// Walks over all values, which must end: depth and repetition are limited by the reader.
void walk(const PickleValue& value, int depth, std::uint64_t& budget) {
  require(depth <= Pickle::kMaxDepth && budget-- > 0);
  (void)describe(value);
  for (const PickleValue* item : value.items) walk(*item, depth + 1, budget);
  if (value.state) walk(*value.state, depth + 1, budget);
}

void read_archive(std::span<const std::byte> bytes) {
  const TorchArchive archive(bytes, "fuzz");
  const auto check = [&](const PickleValue& value) {
    if (!TorchArchive::is_tensor(value)) return;
    const StridedTensor tensor = archive.tensor(value);
    require(tensor.bytes.empty() ||
            (tensor.bytes.data() >= bytes.data() && tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + bytes.size()));
    std::vector<std::byte> out(num_elements(whole(tensor.shape)) * size_bytes(tensor.dtype));
    copy_box(tensor, whole(tensor.shape), out);
  };
  check(archive.root());
  for (const PickleValue* item : archive.root().items) check(*item);
}

std::string archive_of(const std::string& pickle) {
  std::string bytes;
  ZipWriter zip([&](std::span<const std::byte> more) { bytes.append(reinterpret_cast<const char*>(more.data()), more.size()); });
  zip.add("a/data.pkl", pickle);
  zip.add("a/data/0", std::string(24, '\1'));
  zip.finish();
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  std::string input(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  if (bytes[0] % 4 == 3) input = archive_of(input);
  // A block of exactly the input's size, so that address sanitizer sees a read past its end.
  const std::unique_ptr<std::byte[]> block(new std::byte[input.size()]);
  std::memcpy(block.get(), input.data(), input.size());
  const std::span<const std::byte> whole_input(block.get(), input.size());
  try {
    if (bytes[0] % 4 == 0) {
      const Pickle pickle(whole_input, "fuzz");
      std::uint64_t budget = 1001 * (input.size() + 1);
      walk(pickle.root(), 1, budget);
    } else if (bytes[0] % 4 == 1) {
      parse_dcp_metadata(whole_input, "fuzz");
    } else {
      read_archive(whole_input);
    }
  } catch (const sluice::Error& e) {
    require(std::strstr(e.what(), "\n  fix: ") != nullptr && std::strlen(e.what()) < 2000);
  }
  return 0;
}
