#include <cstdio>
#include <map>

#include "sluice/base/error.h"
#include "sluice/checkpoint/sharded.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

std::string file_name(int rank, std::size_t number, std::size_t count) {
  char name[96];
  std::snprintf(name, sizeof name, "shard-%05d-model-%05zu-of-%05zu.safetensors", rank + 1, number, count);
  return name;
}

void check_part(const TensorPart& part) {
  const std::size_t dims = part.global_shape.size();
  bool inside =
      part.box.offsets.size() == dims && part.box.lengths.size() == dims && tensor_bytes(part.dtype, part.global_shape).has_value();
  for (std::size_t d = 0; inside && d < dims; ++d) {
    const std::int64_t offset = part.box.offsets[d], length = part.box.lengths[d];
    inside = offset >= 0 && length >= 0 && offset <= part.global_shape[d] && length <= part.global_shape[d] - offset;
  }
  SLUICE_CHECK(inside, "part " + shape_text(part.box.lengths) + " at " + shape_text(part.box.offsets) + " of tensor " + part.name + " " +
                           shape_text(part.global_shape));
}

// For each file the parts in it: the n-th part of a name goes to the n-th file.
std::vector<std::vector<std::size_t>> assign(const std::vector<TensorPart>& parts) {
  std::vector<std::vector<std::size_t>> files;
  std::map<std::string_view, std::size_t> times_seen;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    check_part(parts[i]);
    if (parts[i].num_bytes() == 0 && num_elements(whole(parts[i].global_shape)) > 0) continue;
    const std::size_t file = times_seen[parts[i].name]++;
    if (file == files.size()) files.emplace_back();
    files[file].push_back(i);
  }
  return files;
}

}  // namespace

std::vector<fs::path> write_shard(const fs::path& folder, int rank, const std::vector<TensorPart>& parts, const TensorSource& source,
                                  WriteObserver* observer) {
  const auto files = assign(parts);
  std::vector<fs::path> written;
  for (std::size_t f = 0; f < files.size(); ++f) {
    const fs::path path = folder / file_name(rank, f + 1, files.size());
    std::vector<TensorSpec> tensors;
    Json sharding = Json::object(), shapes = Json::object();
    for (const std::size_t i : files[f]) {
      json_string(parts[i].name, path.string());  // refuses a name that would not come back as it is
      tensors.push_back({parts[i].name, parts[i].dtype, parts[i].box.lengths});
      sharding[parts[i].name] = {{"saved_offsets", parts[i].box.offsets}};
      shapes[parts[i].name] = parts[i].global_shape;
    }
    write_safetensors(
        path, tensors, [&](std::size_t i) { return source(files[f][i]); },
        {{"DCP_SHARDING_INFO", dump_json(sharding)}, {"DCP_VERSION", "1.0"}, {"format", "pt"}, {"sluice_global_shape", dump_json(shapes)}},
        SafetensorsWriter::Checksums::kPerTensor, observer);
    written.push_back(path);
  }
  return written;
}

}  // namespace sluice::checkpoint
