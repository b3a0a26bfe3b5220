// What autograd keeps of a forward pass for the backward pass, and other ways to have it there again than to keep it.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <unordered_map>

namespace sluice::nn {

// Gives the bytes of a storage that was not kept: uint8 [bytes]. Called once, on the thread of the backward pass.
using Restore = std::function<at::Tensor()>;

// Takes over what would be kept.
class Keeper {
 public:
  virtual ~Keeper() = default;
  //   bytes    uint8 [bytes]: a whole storage, which is no longer written to
  //   returns  how to have it again; nothing where autograd is to keep it itself
  virtual Restore keep(const at::Tensor& bytes) = 0;
};

// A storage that several parts of a backward pass ask for.
class Kept {
 public:
  explicit Kept(Restore restore) : restore_(std::move(restore)) {}
  const at::Tensor& bytes();

 private:
  Restore restore_;
  at::Tensor bytes_;  // once asked for, until the last that may ask for it is gone
};

// While it lives, autograd on this thread keeps tensors by it. Scopes do not nest. It must not outlive a block or so: until its end it
// holds every storage that it has met.
class Keeping {
 public:
  explicit Keeping(Keeper* keeper);  // null: autograd keeps all but what is forgotten
  ~Keeping();
  Keeping(const Keeping&) = delete;
  Keeping& operator=(const Keeping&) = delete;

  // The scope on this thread; null outside of any.
  static Keeping* current();

  // `tensor`'s storage is not kept: `restore` gives its bytes. Before any other sees it.
  void forget(const at::Tensor& tensor, Restore restore);
  // How to have `tensor` again: itself, without history, where it is to be kept.
  std::function<at::Tensor()> keep(const at::Tensor& tensor);

 private:
  struct Met {
    at::Storage storage;
    std::shared_ptr<Kept> kept;  // null: by autograd itself
  };
  Keeper* keeper_;
  std::unordered_map<const c10::StorageImpl*, Met> met_;
};

// A tensor's whole storage, as bytes.
at::Tensor storage_bytes(const at::Tensor& tensor);

}  // namespace sluice::nn
