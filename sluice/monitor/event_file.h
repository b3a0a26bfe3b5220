// TensorBoard event files, written without TensorFlow: TFRecord frames around Event messages in protobuf's wire format.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/monitor/metrics.h"

namespace sluice::monitor {

// A named number of one step.
struct Scalar {
  std::string tag;
  double value = 0;
};

// The scalars of a step, as TensorBoard shows them: train/loss, train/lm_loss, train/aux_loss, train/z_loss,
// train/routing_supervision_loss, train/learning_rate, train/grad_norm, train/tokens_per_second, validation/loss, validation/lm_loss;
// under a capacity factor moe/dropped_share. Where expert load was logged: moe/layer_LL/smallest_share and largest_share, and, in layers of at most 64 experts,
// moe/layer_LL/expert_EE (more would drown the page).
std::vector<Scalar> scalars_of(const StepMetrics& metrics);

// One RUN/events.out.tfevents.TIME.HOST.PID, whole up to the last write() at every moment.
class EventFile {
 public:
  // The first step that will be written; a viewer drops what earlier files of the run hold from there on (they were undone by a resume).
  EventFile(const fs::path& run_folder, std::int64_t first_step);
  // After an Error (a full disk) the file is as it was before.
  void write(std::int64_t step, const std::vector<Scalar>& scalars);
  const fs::path& path() const { return path_; }

 private:
  void append(const std::string& records);
  fs::path path_;
  FileDescriptor file_;
  std::int64_t size_bytes_ = 0;
};

// A record as it lies in the file: uint64 length, masked CRC-32C of the length, data, masked CRC-32C of the data; little-endian.
std::string tf_record(std::string_view data);

}  // namespace sluice::monitor
