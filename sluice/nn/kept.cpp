#include "sluice/nn/kept.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/saved_variable_hooks.h>

#include "sluice/base/error.h"

namespace sluice::nn {
namespace {

using torch::autograd::Engine;
using torch::autograd::SavedVariableHooks;

thread_local Keeping* scope = nullptr;

// One saved tensor.
class KeptTensor final : public SavedVariableHooks {
 public:
  explicit KeptTensor(Keeping& keeping) : keeping_(keeping) {}
  void call_pack_hook(const at::Tensor& tensor) override { again_ = keeping_.keep(tensor); }
  at::Tensor call_unpack_hook() override { return again_(); }

 private:
  Keeping& keeping_;  // packs at once, within the scope
  std::function<at::Tensor()> again_;
};

// libtorch asks its engine for hooks wherever it saves a tensor; from Python they are torch.autograd.graph.saved_tensors_hooks.
class EngineWithScopes final : public Engine {
 public:
  ~EngineWithScopes() override { stop(); }
  std::unique_ptr<SavedVariableHooks> get_default_saved_variable_hooks() override { return scope ? std::make_unique<KeptTensor>(*scope) : nullptr; }
};

Engine& engine() {
  static EngineWithScopes all;
  return all;
}

}  // namespace

const at::Tensor& Kept::bytes() {
  if (!bytes_.defined()) {
    bytes_ = restore_();
    restore_ = nullptr;  // and what it held
  }
  return bytes_;
}

Keeping::Keeping(Keeper* keeper) : keeper_(keeper) {
  SLUICE_CHECK(scope == nullptr, "a scope of kept tensors within another");
  torch::autograd::set_default_engine_stub(&engine);
  scope = this;
}

Keeping::~Keeping() { scope = nullptr; }

Keeping* Keeping::current() { return scope; }

void Keeping::forget(const at::Tensor& tensor, Restore restore) {
  met_[tensor.storage().unsafeGetStorageImpl()] = {tensor.storage(), std::make_shared<Kept>(std::move(restore))};
}

std::function<at::Tensor()> Keeping::keep(const at::Tensor& tensor) {
  const at::Tensor itself = tensor.detach();
  const auto [found, is_new] = met_.try_emplace(tensor.storage().unsafeGetStorageImpl(), Met{tensor.storage(), nullptr});
  if (is_new && keeper_) {
    if (Restore restore = keeper_->keep(storage_bytes(itself))) found->second.kept = std::make_shared<Kept>(std::move(restore));
  }
  if (!found->second.kept) return [itself] { return itself; };
  return [kept = found->second.kept, options = itself.options(), sizes = itself.sizes().vec(), strides = itself.strides().vec(), offset = itself.storage_offset()] {
    return at::empty({0}, options).set_(kept->bytes().storage(), offset, sizes, strides);
  };
}

at::Tensor storage_bytes(const at::Tensor& tensor) {
  const at::Storage& storage = tensor.storage();
  return at::empty({0}, tensor.options().dtype(at::kByte)).set_(storage, 0, {static_cast<std::int64_t>(storage.nbytes())}, {1});
}

}  // namespace sluice::nn
