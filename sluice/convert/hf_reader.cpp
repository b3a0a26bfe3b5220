#include <ATen/ATen.h>

#include "sluice/base/error.h"
#include "sluice/checkpoint/dequantize_fp8.h"
#include "sluice/checkpoint/dequantize_mxfp4.h"
#include "sluice/checkpoint/hf_folder.h"
#include "sluice/convert/coverage.h"
#include "sluice/convert/reader.h"

namespace sluice::convert {
namespace {

using checkpoint::bytes_of;
using checkpoint::DType;
using checkpoint::TensorView;

class HfReader final : public Reader {
 public:
  HfReader(const checkpoint::ModelFolder& folder, const std::vector<models::TensorSpec>& table) : weights_(folder.path) {
    const std::string where = (folder.path / "config.json").string();
    const Json config = parse_json(read_file(where), where);
    if (const auto found = config.find("quantization_config"); found != config.end() && found->is_object() && found->value("quant_method", "") == "fp8") {
      fp8_ = checkpoint::fp8_blocks(*found, where + ": quantization_config");
    }
    checkpoint::require_equal_copies(weights_, *folder.config, table);
    CoverageCheck coverage(folder.path.string(), {weights_.names().begin(), weights_.names().end()});
    for (const std::string& name : weights_.names()) {
      if (folder.config->ignores(name)) coverage.ignore(name);
    }
    for (const models::TensorSpec& spec : table) {
      for (const models::HfPart& part : spec.hf) check(part, coverage);
      for (const std::string& copy : spec.hf_copies) coverage.ignore(copy);
    }
    coverage.finish();
  }

  DType dtype(const Part& part) const override {
    const TensorView* view = find(*part.hf);
    return !view || view->dtype == DType::kF8E4M3 ? DType::kBF16 : view->dtype;
  }

  at::Tensor read(const Part& part) override {
    const TensorView* view = find(*part.hf);
    if (!view) return from_mxfp4(*part.hf);
    return view->dtype == DType::kF8E4M3 ? from_fp8(*view) : checkpoint::tensor_over(*view);
  }

 private:
  // Under its name, or the one that older files have; null for what is there in blocks and scales alone.
  const TensorView* find(const models::HfPart& part) const {
    const TensorView* view = weights_.find(part.name);
    return view || part.other_name.empty() ? view : weights_.find(part.other_name);
  }

  void check(const models::HfPart& part, CoverageCheck& coverage) const {
    const TensorView* view = find(part);
    if (!view) return check_mxfp4(part, coverage);
    coverage.use(view->name);
    if (view->shape != part.shape) coverage.wrong_shape(view->name, view->shape, part.shape);
    if (view->dtype != DType::kF8E4M3) return;
    const std::string scale = view->name + "_scale_inv";
    if (!fp8_) throw Error(weights_.path().string() + ": " + part.name + " is FP8, and config.json has no quantization_config with quant_method fp8", "take config.json again from where the model came from");
    if (!coverage.use(scale)) return coverage.missing(scale);
    const auto expected = checkpoint::fp8_scale_shape(part.shape, *fp8_);
    if (weights_.find(scale)->shape != expected) coverage.wrong_shape(scale, weights_.find(scale)->shape, expected);
  }

  // blocks [experts, out, groups, 16], scales [experts, out, groups]; the tensor they stand for is [experts, in, out].
  void check_mxfp4(const models::HfPart& part, CoverageCheck& coverage) const {
    const TensorView *blocks = weights_.find(part.name + "_blocks"), *scales = weights_.find(part.name + "_scales");
    if (!blocks || !scales || part.shape.size() != 3) return coverage.missing(part.name);
    coverage.use(part.name + "_blocks");
    coverage.use(part.name + "_scales");
    const std::vector<std::int64_t> grouped{part.shape[0], part.shape[2], part.shape[1] / checkpoint::kMxfp4GroupElements};
    auto bytes = grouped;
    bytes.push_back(checkpoint::kMxfp4GroupBytes);
    if (blocks->shape != bytes) coverage.wrong_shape(part.name + "_blocks", blocks->shape, bytes);
    if (scales->shape != grouped) coverage.wrong_shape(part.name + "_scales", scales->shape, grouped);
  }

  at::Tensor from_fp8(const TensorView& view) const {
    at::Tensor out = at::empty(view.shape, at::kBFloat16);
    checkpoint::dequantize_fp8_rows(view.bytes, weights_.find(view.name + "_scale_inv")->bytes, 0, view.shape[1], *fp8_, bytes_of(out));
    return out;
  }

  at::Tensor from_mxfp4(const models::HfPart& part) const {
    const TensorView &blocks = *weights_.find(part.name + "_blocks"), &scales = *weights_.find(part.name + "_scales");
    at::Tensor out = at::empty(part.shape, at::kBFloat16);
    const auto experts = static_cast<std::size_t>(part.shape[0]);
    const auto of = [&](const auto& bytes, std::size_t e) { return bytes.subspan(e * (bytes.size() / experts), bytes.size() / experts); };
    for (std::size_t e = 0; e < experts; ++e) {
      checkpoint::dequantize_mxfp4_transposed(of(blocks.bytes, e), of(scales.bytes, e), part.shape[2], of(bytes_of(out), e));
    }
    return out;
  }

  checkpoint::WeightFolder weights_;
  std::optional<checkpoint::Fp8Blocks> fp8_;
};

}  // namespace

std::unique_ptr<Reader> open_hf_reader(const checkpoint::ModelFolder& folder, const std::vector<models::TensorSpec>& table) {
  return std::make_unique<HfReader>(folder, table);
}

}  // namespace sluice::convert
