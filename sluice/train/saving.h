// A checkpoint on its way to disk: every rank writes its part, while training goes on where that is asked for.
#pragma once
#include <atomic>
#include <functional>
#include <future>
#include <optional>

#include "sluice/checkpoint/step_folder.h"
#include "sluice/train/state.h"

namespace sluice::train {

enum class SaveMode { kWait, kInBackground };

// One step folder: parameters as native shards directly in it (or a PEFT adapter), moments and Progress in trainer/, and what `extra` adds
// (config.json, tokenizer, routing_supervision.json). It gets its name in commit(); until then the run's earlier checkpoints are all there is.
class Saving {
 public:
  // All ranks come here together. kInBackground copies what this rank saves, so that it may change from now on, and writes in a thread of its own;
  // kWait writes in commit(). `run` and `extra` are the leader's; `kept` is used here, its mesh until the end. Error when the disk is too small.
  Saving(const fs::path& run, const Progress& progress, const Kept& kept, const std::function<void(const fs::path& folder)>& extra, SaveMode mode);
  // Without commit() it is abandoned: its thread ends after the tensor that it writes, and what is written goes.
  ~Saving();
  Saving(const Saving&) = delete;
  Saving& operator=(const Saving&) = delete;

  std::int64_t step() const { return step_; }
  std::uint64_t bytes() const { return bytes_; }  // that this rank writes
  bool is_written() const;  // whether commit() has nothing left to wait for on this rank

  // All ranks come here together. Error of any rank that could not write its part; earlier checkpoints then stay whole.
  void commit();
  // For the leader where others may be gone: commits if every rank has written its part. Returns whether it did.
  bool commit_alone();

 private:
  const dist::Mesh& mesh_;
  std::int64_t step_;
  std::uint64_t bytes_ = 0;
  fs::path folder_;
  std::optional<checkpoint::StepFolderWriter> writer_;  // the leader's
  std::atomic<bool> abandoned_ = false;
  std::future<void> written_;
};

}  // namespace sluice::train
