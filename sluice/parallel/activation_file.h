// Kept activations in a file instead of memory.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "sluice/nn/kept.h"
#include "sluice/parallel/offload.h"

namespace sluice::parallel {

class ActivationFile final : public nn::Keeper {
 public:
  // The parameters of `store`, which autograd keeps too, stay where they are.
  ActivationFile(const fs::path& folder, const nn::ParameterStore& store);

  // Written at once into the system's cache, from there to the disk in the background. What comes back brings along, in the background, what was
  // written before it: backward passes ask in the reverse order.
  nn::Restore keep(const at::Tensor& bytes) override;

 private:
  struct Extent;
  std::int64_t take(std::int64_t bytes);
  void give_back(std::int64_t begin, std::int64_t bytes);

  NamelessFile file_;
  std::set<const void*> parameters_;
  std::map<std::int64_t, std::int64_t> free_;  // begin -> end, apart from each other
  std::int64_t end_ = 0;                       // of what was ever used
};

}  // namespace sluice::parallel
