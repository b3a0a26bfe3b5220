// Megatron-Core's torch_dist layout: iter_0000000/ with .metadata, *.distcp, common.pt and metadata.json, as dist_checkpointing has it.
#include <ATen/ATen.h>

#include <map>

#include "sluice/base/error.h"
#include "sluice/checkpoint/dcp_folder.h"
#include "sluice/checkpoint/megatron_names.h"
#include "sluice/checkpoint/torch_save.h"
#include "sluice/convert/writers.h"

namespace sluice::convert {
namespace {

using checkpoint::Box;
using checkpoint::bytes_of;
using checkpoint::MegatronNaming;
using checkpoint::MegatronSlice;
using checkpoint::TensorPart;

constexpr const char* kIteration = "iter_0000000";

MegatronNaming naming_of(const checkpoint::MegatronSizes& sizes) {
  MegatronNaming naming;
  naming.layers = sizes.all_layers_alike() ? MegatronNaming::Layers::kStacked : MegatronNaming::Layers::kNumbered;
  naming.experts = MegatronNaming::Experts::kStacked;
  return naming;
}

checkpoint::MegatronSizes sizes_of(const Source& source) {
  try {
    return checkpoint::megatron_sizes(source.json, "config.json");
  } catch (const Error& error) {
    throw Error("format torch_dist does not hold this model: " + error.problem(), "use --format native, or --format hf");
  }
}

// The leading dims over layers and experts: a chunk holds one index of each, so that none is larger than a tensor of one expert.
std::size_t stacked_dims(const std::string& name, const MegatronNaming& naming) {
  const bool layers = naming.layers == MegatronNaming::Layers::kStacked && name.starts_with("decoder.layers.");
  return (layers ? 1U : 0U) + (name.find(".experts.experts.") != std::string::npos ? 1U : 0U);
}

std::vector<Box> chunks(const std::vector<std::int64_t>& shape, std::size_t stacked) {
  std::vector<Box> out{checkpoint::whole(shape)};
  for (std::size_t d = 0; d < stacked; ++d) {
    std::vector<Box> finer;
    for (const Box& box : out) {
      for (std::int64_t i = 0; i < shape[d]; ++i) {
        finer.push_back(box);
        finer.back().offsets[d] = i;
        finer.back().lengths[d] = 1;
      }
    }
    out = std::move(finer);
  }
  return out;
}

// common.pt: what is no sharded tensor. Weights alone have nothing to say there.
void write_common(const fs::path& path) {
  std::string bytes;
  checkpoint::TorchArchiveWriter writer(checkpoint::TorchArchiveWriter::Root::kDict, {}, [&](std::span<const std::byte> piece) {
    bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  writer.finish();
  write_file_atomic(path, bytes);
}

}  // namespace

void require_torch_dist(const Source& source) {
  const checkpoint::MegatronSizes sizes = sizes_of(source);
  checkpoint::megatron_map(sizes, naming_of(sizes));
}

void write_torch_dist(Tensors& tensors, OutputFolder& out, Progress& progress) {
  const checkpoint::MegatronSizes sizes = sizes_of(tensors.source());
  const MegatronNaming naming = naming_of(sizes);
  const checkpoint::MegatronMap map = checkpoint::megatron_map(sizes, naming);
  std::map<std::string, Part> parts_by_name;
  for (const models::TensorSpec& spec : tensors.source().table) {
    for (const models::HfPart& part : spec.hf) parts_by_name[part.name] = {&spec, &part};
  }
  std::vector<TensorPart> parts;
  for (const auto& [name, shape] : map.megatron) {
    const auto dtype = tensors.dtype(parts_by_name.at(map.of_megatron(name).front()->hf));
    for (Box& box : chunks(shape, stacked_dims(name, naming))) parts.push_back({name, dtype, shape, std::move(box)});
  }
  const fs::path folder = out.path() / kIteration;
  fs::create_directories(folder);
  std::vector<std::byte> current, piece;  // kept from part to part: aligned blocks made anew for each leave the heap full of holes
  const auto source = [&](std::size_t i) {
    const TensorPart& part = parts[i];
    current.assign(part.num_bytes(), std::byte{0});
    for (const MegatronSlice* slice : map.of_megatron(part.name)) {
      if (!checkpoint::intersect(slice->megatron_box, part.box)) continue;
      const Part& from = parts_by_name.at(slice->hf);
      const at::Tensor values = tensors.read(from);
      const std::size_t element = checkpoint::size_bytes(part.dtype);
      piece.resize(checkpoint::num_elements(slice->hf_box) * element);
      checkpoint::copy_shared(bytes_of(values), checkpoint::whole(from.hf->shape), piece, slice->hf_box, element);
      checkpoint::copy_shared(piece, slice->megatron_box, current, part.box, element);
    }
    progress.add(part.num_bytes());
    return std::span<const std::byte>(current);
  };
  checkpoint::write_dcp_index(folder, {checkpoint::write_dcp_shard(folder, 0, parts, source)});
  write_common(folder / "common.pt");
  write_file_atomic(folder / "metadata.json", "{\"sharded_backend\": \"torch_dist\", \"sharded_backend_version\": 1, \"common_backend\": \"torch\", \"common_backend_version\": 1}\n");
  write_file_atomic(out.path() / "latest_checkpointed_iteration.txt", "0\n");
}

}  // namespace sluice::convert
