#include "sluice/checkpoint/weight_reader.h"

#include <sys/mman.h>

#include <cstdint>
#include <set>
#include <span>

#include "sluice/base/error.h"
#include "sluice/checkpoint/sharded.h"

namespace sluice::checkpoint {
namespace {

std::string list(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < 8; ++i) out += (i ? ", " : "") + names[i];
  return names.size() > 8 ? out + " and " + std::to_string(names.size() - 8) + " more" : out;
}

Error wrong_shape(const std::string& name, const std::vector<std::int64_t>& found, const std::vector<std::int64_t>& expected) {
  return Error("tensor " + name + " has shape " + shape_text(found) + ", but the model's sizes ask for " + shape_text(expected),
               "load the checkpoint with the config.json it was saved with, or change the recipe's model sizes to the checkpoint's");
}

Error quantised(const fs::path& path, const std::string& name, const std::string& type) {
  return Error(path.string() + ": " + name + " is stored as " + type + ", in which nothing is computed",
               "convert it first: sluice convert --from " + path.string() + " --to FOLDER --format hf --dtype bf16");
}

// Both lists are empty, or they are an Error. `what` the folder holds: tensors, or parameters.
void require_none(const fs::path& path, const std::string& what, const std::vector<std::string>& missing,
                  const std::set<std::string>& unused) {
  if (!missing.empty())
    throw Error(path.string() + " lacks " + std::to_string(missing.size()) + " " + what + " of the model: " + list(missing),
                "take the checkpoint again, whole");
  if (unused.empty()) return;
  throw Error(path.string() + " holds " + std::to_string(unused.size()) + " " + what + " that the model does not " +
                  (what == "tensors" ? "use: " : "have: ") + list({unused.begin(), unused.end()}),
              "check that config.json belongs to these weights");
}

// Gives back the pages of a file's bytes that are copied by now: they would count as the program's memory beside the copy.
void forget(std::span<const std::byte> bytes) {
  constexpr std::uintptr_t kPage = 4096;
  const auto first = reinterpret_cast<std::uintptr_t>(bytes.data()), begin = (first + kPage - 1) / kPage * kPage,
             end = (first + bytes.size()) / kPage * kPage;
  if (begin < end)
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // of a file that is only read: the next look finds them again
}

class HfWeights final : public WeightReader {
 public:
  HfWeights(const ModelFolder& model, const std::vector<models::TensorSpec>& table) : folder_(model.path) {
    require_equal_copies(folder_, *model.config, table);
    std::set<std::string> unused;
    for (const std::string& name : folder_.names()) {
      if (!model.config->ignores(name)) unused.insert(name);
    }
    std::vector<std::string> missing;
    for (const models::TensorSpec& spec : table) {
      for (const models::HfPart& part : spec.hf) {
        const TensorView* view = find(part);
        if (view)
          unused.erase(view->name);
        else
          missing.push_back(part.name);
        check(part, view);
      }
      for (const std::string& copy : spec.hf_copies) unused.erase(copy);
    }
    require_none(model.path, "tensors", missing, unused);
  }

  void read(const models::TensorSpec& spec, const at::Tensor& out) override {
    const at::Tensor flat = out.view({-1});
    for (const models::HfPart& part : spec.hf) {
      const TensorView& view = *find(part);
      const at::Tensor stored = tensor_over(view);
      const at::Tensor ours = part.layout == models::HfLayout::kTransposed ? stored.transpose(-1, -2) : stored;
      flat.narrow(0, part.offset, ours.numel()).view(ours.sizes()).copy_(ours);
      forget(view.bytes);
    }
  }

  at::Tensor mapped(const models::TensorSpec& spec, at::ScalarType dtype) override {
    const TensorView& view = *find(spec.hf[0]);
    if (spec.hf.size() > 1 || spec.hf[0].layout != models::HfLayout::kSame || to_torch(view.dtype) != dtype) return {};
    return tensor_over(view).view(spec.parameter.shape);
  }

 private:
  // Under its name, or the one that older files have.
  const TensorView* find(const models::HfPart& part) const {
    const TensorView* view = folder_.find(part.name);
    return view || part.other_name.empty() ? view : folder_.find(part.other_name);
  }

  void check(const models::HfPart& part, const TensorView* view) const {
    if (!view && folder_.find(part.name + "_blocks")) throw quantised(folder_.path(), part.name, "MXFP4");
    if (!view) return;
    if (view->dtype == DType::kF8E4M3) throw quantised(folder_.path(), view->name, "FP8");
    if (view->shape != part.shape) throw wrong_shape(view->name, view->shape, part.shape);
  }

  WeightFolder folder_;
};

class NativeWeights final : public WeightReader {
 public:
  NativeWeights(const fs::path& path, const std::vector<models::TensorSpec>& table) : folder_(path) {
    std::set<std::string> unused;
    for (const std::string& name : folder_.names()) {
      if (!name.starts_with("routing_supervision.")) unused.insert(name);  // of training alone
    }
    std::vector<std::string> missing;
    for (const models::TensorSpec& spec : table) {
      const auto* info = folder_.find(spec.parameter.name);
      if (!info)
        missing.push_back(spec.parameter.name);
      else if (info->shape != spec.parameter.shape)
        throw wrong_shape(spec.parameter.name, info->shape, spec.parameter.shape);
      unused.erase(spec.parameter.name);
    }
    require_none(path, "parameters", missing, unused);
  }

  void read(const models::TensorSpec& spec, const at::Tensor& out) override {
    if (const auto view = folder_.in_one_part(spec.parameter.name)) {
      out.copy_(tensor_over(*view));
      return forget(view->bytes);
    }
    const auto& [dtype, shape] = *folder_.find(spec.parameter.name);
    const at::Tensor stored = out.scalar_type() == to_torch(dtype) ? out : at::empty(shape, to_torch(dtype));
    folder_.read(spec.parameter.name, bytes_of(stored));
    if (!stored.is_same(out)) out.copy_(stored);
  }

  at::Tensor mapped(const models::TensorSpec& spec, at::ScalarType dtype) override {
    if (to_torch(folder_.find(spec.parameter.name)->dtype) != dtype) return {};
    const auto view = folder_.in_one_part(spec.parameter.name);
    return view ? tensor_over(*view) : at::Tensor();
  }

 private:
  ShardedFolder folder_;
};

}  // namespace

std::unique_ptr<WeightReader> open_weights(const ModelFolder& folder, const std::vector<models::TensorSpec>& table) {
  if (folder.kind == FolderKind::kHf) return std::make_unique<HfWeights>(folder, table);
  return std::make_unique<NativeWeights>(folder.path, table);
}

namespace {

// Whether `tensor` begins where an allocated one may: vector units round a sum by how its numbers lie, and one model gives the same bits from
// whichever file.
bool lies_as_allocated(const at::Tensor& tensor) { return reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % kDataAlignment == 0; }

}  // namespace

void map_or_read(WeightReader& weights, const std::vector<models::TensorSpec>& table, nn::ParameterStore& store) {
  const at::NoGradGuard no_grad;
  for (const models::TensorSpec& spec : table) {
    nn::Parameter& parameter = store.at(spec.parameter.name);
    const at::Tensor mapped = weights.mapped(spec, parameter.value.scalar_type());
    if (mapped.defined() && lies_as_allocated(mapped))
      parameter.value = mapped;
    else
      weights.read(spec, parameter.value);
  }
}

}  // namespace sluice::checkpoint
