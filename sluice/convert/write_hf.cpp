#include "sluice/checkpoint/hf_folder.h"
#include "sluice/convert/writers.h"

namespace sluice::convert {

void write_hf(Tensors& tensors, OutputFolder& out, Progress& progress) {
  std::vector<Part> parts;
  std::vector<checkpoint::TensorSpec> declared;
  for (const models::TensorSpec& spec : tensors.source().table) {
    const auto add = [&](const std::string& name, const models::HfPart& part) {
      parts.push_back({&spec, &part});
      declared.push_back({name, tensors.dtype(parts.back()), part.shape});
    };
    for (const models::HfPart& part : spec.hf) add(part.name, part);
    for (const std::string& copy : spec.hf_copies) add(copy, spec.hf[0]);
  }
  const auto files = checkpoint::plan_weight_files(declared);
  for (const checkpoint::WeightFile& file : files) {
    const auto at = [&](std::size_t i) { return declared.begin() + static_cast<std::ptrdiff_t>(i); };
    if (out.has(file.name)) {
      for (std::size_t i = file.first; i < file.last; ++i) progress.add(declared[i].num_bytes());
      continue;
    }
    at::Tensor current;  // keeps the bytes of one tensor until the next is asked for
    const auto source = [&](std::size_t i) {
      current.reset();
      current = tensors.read(parts[file.first + i]);
      progress.add(static_cast<std::uint64_t>(current.nbytes()));
      return std::span<const std::byte>(checkpoint::bytes_of(current));
    };
    checkpoint::write_safetensors(out.path() / file.name, {at(file.first), at(file.last)}, source, {{"format", "pt"}},
                                  checkpoint::SafetensorsWriter::Checksums::kNone, nullptr);
  }
  if (files.size() > 1) write_file_atomic(out.path() / checkpoint::kWeightIndexName, checkpoint::weight_index(declared, files));
}

}  // namespace sluice::convert
