#include <ATen/ATen.h>

#include "sluice/base/error.h"
#include "sluice/checkpoint/dcp_folder.h"
#include "sluice/checkpoint/megatron_ranks.h"
#include "sluice/convert/coverage.h"
#include "sluice/convert/reader.h"

namespace sluice::convert {
namespace {

using checkpoint::bytes_of;
using checkpoint::DType;
using checkpoint::MegatronMap;

// HF tensors put together from Megatron's by the map; `Weights` finds and reads these.
template <class Weights>
class MegatronReader final : public Reader {
 public:
  MegatronReader(std::unique_ptr<Weights> weights, MegatronMap map, const std::string& where, const std::vector<models::TensorSpec>& table)
      : weights_(std::move(weights)), map_(std::move(map)) {
    std::set<std::string> names;
    for (const auto& [name, shape] : map_.hf) names.insert(name);
    CoverageCheck coverage(where, names);
    for (const models::TensorSpec& spec : table) {
      for (const models::HfPart& part : spec.hf) {
        if (!coverage.use(part.name)) coverage.missing(part.name);
        else if (map_.hf.at(part.name) != part.shape) coverage.wrong_shape(part.name, map_.hf.at(part.name), part.shape);
      }
    }
    for (const auto& [name, shape] : map_.megatron) {
      const auto* info = weights_->find(name);
      if (!info) coverage.missing(name);
      else if (info->shape != shape) coverage.wrong_shape(name, info->shape, shape);
    }
    coverage.finish();
  }

  DType dtype(const Part& part) const override { return weights_->find(map_.of_hf(part.hf->name).front()->megatron)->dtype; }

  at::Tensor read(const Part& part) override {
    const DType type = dtype(part);
    const at::Tensor out = at::empty(part.hf->shape, checkpoint::to_torch(type));
    for (const checkpoint::MegatronSlice* slice : map_.of_hf(part.hf->name)) {
      const at::Tensor piece = at::empty(slice->megatron_box.lengths, out.options());
      weights_->read(slice->megatron, slice->megatron_box, bytes_of(piece));
      checkpoint::copy_shared(bytes_of(piece), slice->hf_box, bytes_of(out), checkpoint::whole(part.hf->shape), checkpoint::size_bytes(type));
    }
    return out;
  }

 private:
  std::unique_ptr<Weights> weights_;
  MegatronMap map_;
};

bool is_torch_dist(const fs::path& folder) { return fs::exists(folder / ".metadata"); }

}  // namespace

bool is_megatron_folder(const fs::path& given) {
  if (!fs::is_directory(given)) return false;
  const fs::path folder = checkpoint::latest_megatron_iteration(given);
  if (is_torch_dist(folder)) return true;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with("mp_rank_")) return true;
  }
  return false;
}

std::unique_ptr<Reader> open_megatron_reader(const fs::path& given, const Json& config, const std::vector<models::TensorSpec>& table) {
  const fs::path folder = checkpoint::latest_megatron_iteration(given);
  const checkpoint::MegatronSizes sizes = checkpoint::megatron_sizes(config, "config.json");
  const std::string where = folder.string();
  if (!is_torch_dist(folder)) {
    auto weights = std::make_unique<checkpoint::MegatronRanks>(folder, sizes);
    auto map = weights->map();
    return std::make_unique<MegatronReader<checkpoint::MegatronRanks>>(std::move(weights), std::move(map), where, table);
  }
  auto weights = std::make_unique<checkpoint::DcpFolder>(folder);
  const auto shape_of = [&](std::string_view name) -> const std::vector<std::int64_t>* {
    const auto* info = weights->find(name);
    return info ? &info->shape : nullptr;
  };
  auto map = checkpoint::megatron_map(sizes, checkpoint::detect_megatron_naming(sizes, shape_of, where));
  checkpoint::check_nothing_left(map, weights->names(), where);
  return std::make_unique<MegatronReader<checkpoint::DcpFolder>>(std::move(weights), std::move(map), where, table);
}

}  // namespace sluice::convert
