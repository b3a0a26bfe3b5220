#include "sluice/convert/merge.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "sluice/base/error.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/convert/companions.h"

namespace sluice::convert {
namespace {

using checkpoint::DType;
using Rows = nn::LowRank::Rows;

// One adapter of a weight: scale * b a.
struct Change {
  const models::LoraTarget* target;
  at::Tensor a, b;  // [rank, in], [out, rank]; experts in front

  // [out, in], float32
  at::Tensor delta(std::int64_t expert) const {
    return target->experts > 0 ? at::mm(b[expert], a[expert]) * target->scale : at::mm(b, a) * target->scale;
  }
};

// A source's tensors with the adapters' changes in them.
class MergingReader : public Reader {
 public:
  MergingReader(std::unique_ptr<Reader> base, const std::vector<checkpoint::Adapter>& adapters, std::optional<DType> dtype) : base_(std::move(base)), dtype_(dtype) {
    for (const checkpoint::Adapter& adapter : adapters) {
      for (std::size_t i = 0; i < adapter.targets.size(); ++i) changes_[adapter.targets[i].parameter].push_back({&adapter.targets[i], adapter.a[i], adapter.b[i]});
    }
  }

  DType dtype(const Part& part) const override { return dtype_.value_or(base_->dtype(part)); }

  at::Tensor read(const Part& part) override {
    const at::Tensor stored = base_->read(part);
    const auto found = changes_.find(part.spec->parameter.name);
    if (found == changes_.end()) return stored;
    const at::Tensor weight = stored.to(at::kFloat), delta = change_of(part, found->second);
    const at::ScalarType written = checkpoint::to_torch(dtype(part));
    const at::Tensor before = weight.to(written), merged = (weight + delta).to(written);
    const double computed = delta.norm().item<double>();
    const std::string type(checkpoint::dtype_name(dtype(part)));
    if (!at::isfinite(merged).all().item<bool>() && at::isfinite(before).all().item<bool>()) {
      throw Error("with what the adapters add (norm " + std::to_string(computed) + "), " + part.hf->name + " has values beyond the range of " + type, "merge in a wider type: --dtype fp32");
    }
    if (computed > 0 && at::equal(merged, before)) {
      throw Error("what the adapters add to " + part.hf->name + " (norm " + std::to_string(computed) + ") is lost to rounding in " + type, "merge in a wider type: --dtype fp32");
    }
    added_.push_back({part.hf->name, (merged.to(at::kFloat) - before.to(at::kFloat)).norm().item<double>(), computed, weight.norm().item<double>()});
    return merged;
  }

  const std::vector<Added>& added() const { return added_; }

 private:
  // What one HF tensor gets, in its shape.
  static at::Tensor change_of(const Part& part, const std::vector<Change>& changes) {
    const models::TensorSpec& spec = *part.spec;
    const bool experts = spec.parameter.shape.size() == 3;
    at::Tensor whole = at::zeros(ours(*part.hf), at::kFloat);
    const std::int64_t count = whole.numel(), of_expert = experts ? spec.parameter.shape[1] * spec.parameter.shape[2] : count;
    for (const Change& change : changes) {
      for (std::int64_t begin = part.hf->offset; begin < part.hf->offset + count;) {  // expert by expert
        const std::int64_t expert = experts ? begin / of_expert : 0, end = std::min((expert + 1) * of_expert, part.hf->offset + count);
        at::Tensor delta = change.delta(expert);
        if (change.target->rows != Rows::kAll) {
          const at::Tensor none = at::zeros_like(delta);
          delta = at::cat(change.target->rows == Rows::kGate ? std::vector{delta, none} : std::vector{none, delta});
        }
        const std::int64_t first = experts ? begin - expert * of_expert : 0;
        whole.view({-1}).narrow(0, begin - part.hf->offset, end - begin).add_(delta.reshape({-1}).narrow(0, first, end - begin));
        begin = end;
      }
    }
    return part.hf->layout == models::HfLayout::kTransposed ? whole.transpose(-1, -2).contiguous() : whole;
  }

  // The shape of a HF tensor in our layout.
  static std::vector<std::int64_t> ours(const models::HfPart& part) {
    std::vector<std::int64_t> shape = part.shape;
    if (part.layout == models::HfLayout::kTransposed) std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
    return shape;
  }

  std::unique_ptr<Reader> base_;
  std::optional<DType> dtype_;
  std::map<std::string, std::vector<Change>> changes_;  // by parameter
  std::vector<Added> added_;
};

void require_change(const std::vector<Added>& added, const MergeOptions& options) {
  if (std::ranges::any_of(added, [](const Added& one) { return one.change > 0; })) return;
  throw Error(options.adapters[0].string() + " changes nothing: every adapter is zero, as before the first step of training", "give the adapter of a later checkpoint");
}

}  // namespace

std::vector<Added> merge(const MergeOptions& options, Log& log) {
  const at::NoGradGuard no_grad;
  Source source = open_source(options.model, std::nullopt);
  std::vector<checkpoint::Adapter> adapters;
  for (const fs::path& folder : options.adapters) adapters.push_back(checkpoint::read_adapter(checkpoint::resolve_model_folder(folder), source.table));
  auto merging = std::make_unique<MergingReader>(std::move(source.reader), adapters, options.dtype);
  const MergingReader& reader = *merging;
  source.reader = std::move(merging);
  Tensors tensors(source, std::nullopt);
  // Never the plan of another merge: files that a killed one left would not be in the report.
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  OutputFolder out(options.to, {{"merge", now}}, num_bytes(tensors), log);
  Progress progress("merging", num_bytes(tensors), log);
  write_hf(tensors, out, progress);
  require_change(reader.added(), options);
  write_companions(source, main_dtype(tensors), out.path());
  progress.finish();
  out.commit();
  log.info("wrote " + options.to.string());
  return reader.added();
}

}  // namespace sluice::convert
