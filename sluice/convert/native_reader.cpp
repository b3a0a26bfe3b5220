#include <ATen/ATen.h>

#include "sluice/checkpoint/sharded.h"
#include "sluice/convert/coverage.h"
#include "sluice/convert/part_box.h"
#include "sluice/convert/reader.h"

namespace sluice::convert {
namespace {

class NativeReader final : public Reader {
 public:
  NativeReader(const checkpoint::ModelFolder& folder, const std::vector<models::TensorSpec>& table) : weights_(folder.path) {
    const auto names = weights_.names();
    CoverageCheck coverage(folder.path.string(), {names.begin(), names.end()});
    for (const std::string& name : names) {
      if (name.starts_with("routing_supervision.")) coverage.ignore(name);  // of training alone
    }
    for (const models::TensorSpec& spec : table) {
      const auto* info = weights_.find(spec.parameter.name);
      if (!coverage.use(spec.parameter.name)) coverage.missing(spec.parameter.name);
      else if (info->shape != spec.parameter.shape) coverage.wrong_shape(spec.parameter.name, info->shape, spec.parameter.shape);
    }
    coverage.finish();
  }

  checkpoint::DType dtype(const Part& part) const override { return weights_.find(part.spec->parameter.name)->dtype; }

  at::Tensor read(const Part& part) override {
    const at::Tensor out = at::empty(our_shape(*part.spec, *part.hf), checkpoint::to_torch(dtype(part)));
    weights_.read(part.spec->parameter.name, part_box(*part.spec, *part.hf), checkpoint::bytes_of(out));
    return part.hf->layout == models::HfLayout::kTransposed ? out.transpose(-1, -2).contiguous() : out.view(part.hf->shape);
  }

 private:
  checkpoint::ShardedFolder weights_;
};

}  // namespace

std::unique_ptr<Reader> open_native_reader(const checkpoint::ModelFolder& folder, const std::vector<models::TensorSpec>& table) {
  return std::make_unique<NativeReader>(folder, table);
}

}  // namespace sluice::convert
