// Feeds arbitrary bytes to the safetensors parser: whatever it accepts must lie inside the input, whatever it refuses must be an Error.
// Needs no corpus; a smoke run of a minute, from the project's root (libFuzzer comes with clang, not with g++):
//   clang++ -std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I. tests/fuzz/safetensors_fuzz.cpp
//     sluice/checkpoint/{safetensors,safetensors_header,dtype,strict_json}.cpp
//     sluice/base/{error,file,json,nearest,output_file}.cpp -lz -o build/safetensors_fuzz
//   build/safetensors_fuzz -max_total_time=60 -max_len=4096
// The first byte says how the rest becomes a file: as it is, or as the header and data of a file whose length field is right.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "sluice/base/error.h"
#include "sluice/checkpoint/safetensors.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// The header ends at the last '}' of the input; the data follows it.
std::string with_length(const std::string& input) {
  const std::uint64_t length = input.rfind('}') + 1;  // npos + 1 is 0
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + input;
}

// As real headers are: {"a": ..., ...} with fields cut from the input, so that mutations reach the checks behind the JSON parser.
std::string with_fields(const std::string& input) {
  std::string header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[", data;
  if (const auto bar = input.find('|'); bar != std::string::npos) data = input.substr(bar + 1);
  header += input.substr(0, input.find('|'));
  return with_length(header + "]}}") + data;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string input(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const std::string file = bytes[0] % 3 == 0 ? input : bytes[0] % 3 == 1 ? with_length(input) : with_fields(input);
  // A block of exactly the file's size, so that address sanitizer sees a read past its end.
  const std::unique_ptr<std::byte[]> block(new std::byte[file.size()]);
  std::memcpy(block.get(), file.data(), file.size());
  try {
    const auto contents = sluice::checkpoint::parse_safetensors({block.get(), file.size()}, "fuzz");
    const std::byte* next = nullptr;
    for (const auto& tensor : contents.tensors) {
      require(tensor.bytes.data() >= block.get() && tensor.bytes.data() + tensor.bytes.size() <= block.get() + file.size());
      require(next == nullptr || tensor.bytes.data() == next);
      require(tensor.spec().num_bytes() == tensor.bytes.size());
      next = tensor.bytes.data() + tensor.bytes.size();
    }
    require(next == nullptr || next == block.get() + file.size());
  } catch (const sluice::Error& e) {
    require(std::strstr(e.what(), "\n  fix: ") != nullptr && std::strlen(e.what()) < 2000);
  }
  return 0;
}
