// A second micro-batch at work beside the first, so that one computes while the other exchanges with other ranks.
#pragma once
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "sluice/dist/mesh.h"
#include "sluice/parallel/seams.h"

namespace sluice::parallel {

// What the passes of one micro-batch exchange through. Exchanges of a group come in the same order on every rank, so two micro-batches that are at
// work at the same time have lanes of their own.
struct Lane {
  const dist::Mesh& mesh;
  const LayoutSeams& seams;
};

// A lane beside the caller's: groups, seams and a thread of its own, kept for the run.
class SecondLane {
 public:
  // All ranks of the mesh come here at the same time. `mesh` and `stages` outlive this.
  SecondLane(const dist::Mesh& mesh, const Stages& stages, const SeamOptions& options);
  ~SecondLane();
  SecondLane(const SecondLane&) = delete;
  SecondLane& operator=(const SecondLane&) = delete;

  Lane lane() const { return {mesh_, seams_}; }

  // Runs `here` on the calling thread and `beside` on this lane's, at the same time; either may be empty. Returns when both have ended; throws what
  // one has thrown, that of `here` first.
  using Work = std::function<void()>;
  void run(const Work& here, const Work& beside);

 private:
  void work();
  void begin(const Work& beside);
  void wait();  // for what was begun

  const dist::Mesh mesh_;
  const LayoutSeams seams_;
  const int num_threads_;  // that each lane computes with

  std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  const Work* beside_ = nullptr;  // what the thread has to do or does
  std::exception_ptr failure_;    // of what it did last
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace sluice::parallel
