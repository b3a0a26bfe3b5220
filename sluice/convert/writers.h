// Writing a source's tensors in each layout.
#pragma once
#include <cstdint>
#include <optional>

#include "sluice/convert/layout.h"
#include "sluice/convert/output_folder.h"
#include "sluice/convert/source.h"

namespace sluice::convert {

// A source's tensors in the types that are asked for.
class Tensors {
 public:
  Tensors(Source& source, std::optional<checkpoint::DType> dtype) : source_(source), dtype_(dtype) {}

  checkpoint::DType dtype(const Part& part) const;
  checkpoint::DType dtype(const models::TensorSpec& spec) const { return dtype({&spec, &spec.hf[0]}); }
  // Contiguous, in HF's shape; no longer used once the next is asked for. Error when a value leaves float16's range.
  at::Tensor read(const Part& part);
  // The elements in `box` of a parameter, row-major.
  at::Tensor read(const models::TensorSpec& spec, const checkpoint::Box& box);
  const Source& source() const { return source_; }

 private:
  Source& source_;
  std::optional<checkpoint::DType> dtype_;
};

// Bytes of all parameters, and of the copies that HF's layout has besides.
std::uint64_t num_bytes(const Tensors& tensors);

// Each writes the weights alone into `out`, file by file, leaving out files that are there already.
void write_hf(Tensors& tensors, OutputFolder& out, Progress& progress);
void write_native(Tensors& tensors, const Layout& layout, OutputFolder& out, Progress& progress);
void write_torch_dist(Tensors& tensors, OutputFolder& out, Progress& progress);

// Error where Megatron's layout does not hold this source's model.
void require_torch_dist(const Source& source);

// The optimizer's moments of a native step folder, cut as the weights are; and the rest of trainer/.
void write_trainer(const Tensors& tensors, const Layout& layout, OutputFolder& out, Progress& progress);

}  // namespace sluice::convert
