#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "sluice/base/error.h"
#include "sluice/convert/writers.h"

namespace sluice::convert {
namespace {

using checkpoint::TensorPart;

// A shard's parts hold each name once, so it is one file.
std::string shard_file(std::size_t rank) {
  char name[64];
  std::snprintf(name, sizeof name, "shard-%05zu-model-00001-of-00001.safetensors", rank + 1);
  return name;
}

void skip(const std::vector<TensorPart>& parts, Progress& progress) {
  for (const TensorPart& part : parts) progress.add(part.num_bytes());
}

}  // namespace

void write_native(Tensors& tensors, const Layout& layout, OutputFolder& out, Progress& progress) {
  std::map<std::string, const models::TensorSpec*> specs;
  for (const models::TensorSpec& spec : tensors.source().table) specs[spec.parameter.name] = &spec;
  const auto shards = shard_parts(tensors.source().table, layout, [&](const models::TensorSpec& spec) { return tensors.dtype(spec); });
  for (std::size_t rank = 0; rank < shards.size(); ++rank) {
    const auto& parts = shards[rank];
    if (out.has(shard_file(rank))) {
      skip(parts, progress);
      continue;
    }
    at::Tensor current;
    checkpoint::write_shard(out.path(), static_cast<int>(rank), parts, [&](std::size_t i) {
      current.reset();
      current = tensors.read(*specs.at(parts[i].name), parts[i].box);
      progress.add(parts[i].num_bytes());
      return std::span<const std::byte>(checkpoint::bytes_of(current));
    });
  }
}

void write_trainer(const Tensors& tensors, const Layout& layout, OutputFolder& out, Progress& progress) {
  const fs::path from = tensors.source().path / "trainer", to = out.path() / "trainer";
  fs::create_directories(to);
  checkpoint::ShardedFolder moments(from);
  std::vector<models::TensorSpec> table;
  for (const models::TensorSpec& spec : tensors.source().table) {
    for (const char* moment : {"exp_avg.", "exp_avg_sq."}) {
      models::TensorSpec copy = spec;
      copy.parameter.name = moment + spec.parameter.name;
      if (moments.find(copy.parameter.name)) table.push_back(std::move(copy));
    }
  }
  for (const std::string& name : moments.names()) {  // of parameters outside the model: a learned routing target
    const bool known = std::ranges::any_of(table, [&](const models::TensorSpec& spec) { return spec.parameter.name == name; });
    if (!known) table.push_back(models::whole({name, moments.find(name)->shape}, models::Shard::kReplicated, name));
  }
  const auto shards = shard_parts(table, layout, [&](const models::TensorSpec& spec) { return moments.find(spec.parameter.name)->dtype; });
  for (std::size_t rank = 0; rank < shards.size(); ++rank) {
    const auto& parts = shards[rank];
    if (out.has("trainer/" + shard_file(rank))) {
      skip(parts, progress);
      continue;
    }
    std::vector<std::byte> bytes;
    checkpoint::write_shard(to, static_cast<int>(rank), parts, [&](std::size_t i) {
      bytes.resize(parts[i].num_bytes());
      moments.read(parts[i].name, parts[i].box, bytes);
      progress.add(bytes.size());
      return std::span<const std::byte>(bytes);
    });
  }
  for (const auto& entry : fs::directory_iterator(from)) {
    if (entry.is_regular_file() && entry.path().extension() != ".safetensors") write_file_atomic(to / entry.path().filename(), read_file(entry.path()));
  }
}

}  // namespace sluice::convert
