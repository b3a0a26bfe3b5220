#include <utility>

#include "sluice/base/error.h"
#include "sluice/checkpoint/coverage.h"
#include "sluice/checkpoint/dcp_folder.h"
#include "sluice/checkpoint/observed_file.h"
#include "sluice/checkpoint/strict_json.h"
#include "sluice/checkpoint/torch_save.h"

namespace sluice::checkpoint {

DcpMetadata write_dcp_shard(const fs::path& folder, int rank, const std::vector<TensorPart>& parts, const TensorSource& source,
                            WriteObserver* observer) {
  DcpMetadata written;
  if (parts.empty()) return written;
  const std::string name = "__" + std::to_string(rank) + "_0.distcp";
  ObservedFile out(folder / name, observer);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const TensorPart& part = parts[i];
    const Box all = whole(part.global_shape);
    const auto inside = num_elements(part.box) == 0 ? std::optional<Box>(part.box) : intersect(part.box, all);
    SLUICE_CHECK(inside && *inside == part.box,
                 "part " + to_string(part.box) + " of tensor " + part.name + " " + shape_text(part.global_shape));
    if (part.num_bytes() == 0 && num_elements(all) > 0) continue;
    const std::uint64_t begin = out.size_bytes();
    TorchArchiveWriter archive(TorchArchiveWriter::Root::kTensor, {{part.name, part.dtype, part.box.lengths}},
                               [&](std::span<const std::byte> bytes) { out.append(bytes); });
    archive.append(source(i));
    archive.finish();
    DcpTensor& tensor = written.tensors[part.name];
    SLUICE_CHECK(tensor.chunks.empty() || (tensor.dtype == part.dtype && tensor.shape == part.global_shape),
                 "parts of " + part.name + " that differ in type or shape");
    tensor.dtype = part.dtype;
    tensor.shape = part.global_shape;
    tensor.chunks.push_back({part.box, {name, begin, archive.num_bytes()}});
  }
  out.commit();
  return written;
}

void write_dcp_index(const fs::path& folder, const std::vector<DcpMetadata>& ranks, WriteObserver* observer) {
  const char* const remedy = "let every rank write its own part of each tensor, and all parts of one model";
  DcpMetadata all;
  for (const DcpMetadata& rank : ranks) {
    for (const auto& [name, tensor] : rank.tensors) {
      DcpTensor& merged = all.tensors.try_emplace(name, DcpTensor{tensor.dtype, tensor.shape, {}}).first->second;
      if (merged.dtype != tensor.dtype || merged.shape != tensor.shape)
        throw Error("the ranks' parts of tensor " + in_quotes(name) + " differ in type or shape", remedy);
      merged.chunks.insert(merged.chunks.end(), tensor.chunks.begin(), tensor.chunks.end());
    }
    all.objects.insert(rank.objects.begin(), rank.objects.end());
  }
  for (const auto& [name, tensor] : all.tensors) {
    std::vector<LocatedBox> boxes;
    for (const DcpChunk& chunk : tensor.chunks) boxes.push_back({chunk.box, (folder / chunk.place.file).string()});
    check_coverage("tensor " + in_quotes(name) + " in " + folder.string(), tensor.shape, std::move(boxes));
  }
  write_whole_file(folder / ".metadata", write_dcp_metadata(all), observer);
}

}  // namespace sluice::checkpoint
