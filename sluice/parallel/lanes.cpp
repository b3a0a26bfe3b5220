#include "sluice/parallel/lanes.h"

#include <ATen/Parallel.h>

#include <utility>

namespace sluice::parallel {
namespace {

// While it lives, one thread less exchanges: it has nothing to do.
class Idle {
 public:
  explicit Idle(dist::Watch* watch) : watch_(watch) {
    if (watch_) watch_->end_thread();
  }
  ~Idle() {
    if (watch_) watch_->begin_thread();
  }
  Idle(const Idle&) = delete;
  Idle& operator=(const Idle&) = delete;

 private:
  dist::Watch* watch_;
};

std::exception_ptr failure_of(const SecondLane::Work& work) {
  try {
    if (work) work();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

}  // namespace

SecondLane::SecondLane(const dist::Mesh& mesh, const Stages& stages, const SeamOptions& options)
    : mesh_(once_more(mesh, ", lane 2")), seams_(mesh_, stages, options), num_threads_(at::get_num_threads()), thread_([this] { work(); }) {}

SecondLane::~SecondLane() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void SecondLane::run(const Work& here, const Work& beside) {
  if (beside) begin(beside);
  const std::exception_ptr failure = failure_of(here);
  if (beside) wait();
  const std::exception_ptr failure_beside = std::exchange(failure_, nullptr);
  if (failure) std::rethrow_exception(failure);
  if (failure_beside) std::rethrow_exception(failure_beside);
}

void SecondLane::begin(const Work& beside) {
  if (dist::Watch* watch = mesh_.observers->watch) watch->begin_thread();
  {
    const std::lock_guard lock(mutex_);
    beside_ = &beside;
  }
  changed_.notify_all();
}

void SecondLane::wait() {
  const Idle idle(mesh_.observers->watch);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !beside_; });
}

void SecondLane::work() {
  at::set_num_threads(num_threads_);  // OpenMP keeps the number by thread
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return beside_ || ending_; });
    if (ending_) return;
    lock.unlock();
    const std::exception_ptr failure = failure_of(*beside_);
    if (dist::Watch* watch = mesh_.observers->watch) watch->end_thread();
    lock.lock();
    failure_ = failure;
    beside_ = nullptr;
    changed_.notify_all();
  }
}

}  // namespace sluice::parallel
