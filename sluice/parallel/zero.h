// Gradients that are added up while the backward pass goes on, and ZeRO (Rajbhandari et al., arXiv:1910.02054): each holder of a parameter keeps
// a piece of its optimizer state, its gradient, or of itself.
#pragma once
#include <map>
#include <set>
#include <vector>

#include "sluice/models/model.h"
#include "sluice/parallel/data.h"
#include "sluice/parallel/offload.h"

namespace sluice::parallel {

// A flat buffer of which a rank touches some pieces: as nn::untouched_zeros, in pages so small that what lies between them has none.
at::Tensor zeros_in_small_pages(std::int64_t count, at::ScalarType type);

// The flat buffers of the store are as long as without ZeRO; what a rank does not keep of them has no pages. Where they lie in files, what is not
// worked on leaves memory.
class SharedParameters final : public models::BlockWatcher {
 public:
  // `holders`, the store, which was allocated by their placement, and `disk` (null: the buffers lie in memory) outlive this.
  SharedParameters(const Holders& holders, nn::ParameterStore& store, const DiskBuffers* disk = nullptr);

  // Once a parameter has its value, and its computing copy too: what other ranks keep of it leaves memory at once.
  void value_is_set(const nn::Parameter& parameter);
  // Once all have, and after each load of what this rank keeps: the computing copies follow, and what other ranks keep has no pages.
  void trim();

  // Clears the gradients; `micro_batches` will follow.
  void begin_step(std::int64_t micro_batches);
  // After the last backward pass: the store's gradients are sums over the holders, under ZeRO those that this rank keeps.
  void finish_gradients();
  // The norm of the whole model's gradient, once they are sums, in float64.
  double grad_norm() const;
  // After the optimizer's update: every holder has the new values.
  void share_update();
  // Between steps, what is in no layer is there while the model runs forward.
  void begin_inference() { begin_use(); }
  void end_inference() { end_use(); }

  // Calls `visit` with each trainable parameter's part of `flat`, a buffer as long as the store's flat ones (moments, masters), filled in with what
  // other ranks keep of it. All ranks come here.
  void complete(const at::Tensor& flat, const std::function<void(const nn::Parameter& parameter, const at::Tensor& value)>& visit) const;
  bool saves(const nn::Parameter& parameter) const { return holders_.saves(parameter); }

  void before_forward(std::int64_t block) override;
  void after_forward(std::int64_t block) override;
  void before_backward(std::int64_t block) override;
  void after_backward(std::int64_t block) override;

 private:
  using Run = Holders::Run;
  struct Sum {  // under way
    std::int64_t unit = 0;
    Run run;
    at::Tensor arrived;  // of a split run: this rank's piece
    std::vector<std::unique_ptr<dist::Pending>> pending;
  };
  struct Values {
    Run run;
    at::Tensor values;  // what is computed with, as long as the run
  };
  bool splits_gradients() const { return holders_.zero() >= Zero::kGradients; }
  bool splits_parameters() const { return holders_.zero() == Zero::kParameters; }
  void start_sum(std::int64_t unit);
  void settle(Sum& sum);
  void settle_all_but(std::int64_t unit);
  void settle_all_of(std::int64_t unit);
  void begin_use();  // of what is in no layer
  void end_use();
  void fetch(std::int64_t unit);
  void wait_for(std::int64_t unit);
  void give_back(std::int64_t unit);
  void forget_others(const Run& run, const at::Tensor& values) const { forget_others(run, values, run); }
  void forget_others(const Run& run, const at::Tensor& values, const Run& part) const;  // in that part of the run
  void follow_masters(const Run& part) const;
  double squares(const Run& part, double before) const;
  void release(std::int64_t unit) const;  // to the disk
  void expect(std::int64_t unit) const;   // from it

  const Holders& holders_;
  nn::ParameterStore& store_;
  const DiskBuffers* disk_;
  std::map<std::int64_t, std::vector<Run>> places_;  // of each unit in the flat buffers
  std::map<std::int64_t, std::vector<Values>> units_;
  std::map<std::int64_t, std::vector<std::unique_ptr<dist::Pending>>> fetched_;  // units that are here or on their way
  std::int64_t given_back_ = 0;  // bytes since the allocator last gave its free pages back
  std::int64_t micro_batches_ = 0;
  std::map<std::int64_t, std::int64_t> backward_passes_;  // of each unit in this step
  std::vector<Sum> sums_;
  at::Tensor kept_gradients_;  // as long as the flat buffers: this rank's pieces of those that are split, summed so far; its pages come and go
};

}  // namespace sluice::parallel
