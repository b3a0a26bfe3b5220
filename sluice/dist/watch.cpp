#include "sluice/dist/watch.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "sluice/base/error.h"

namespace sluice::dist {
namespace {

using Where = Beat::Where;
using namespace std::chrono_literals;

constexpr auto kRound = 100ms;
constexpr auto kLate = 5s;  // a round after so long: this process was stopped

std::unique_ptr<WatchPost> make_post(const Rendezvous& here, const WatchTimes& times, const FromRank0& from_rank0) {
  if (here.rank != 0) return std::make_unique<FollowerPost>(here, times, from_rank0(""));
  auto post = std::make_unique<LeaderPost>(here.world, times);
  from_rank0(post->invitation());
  return post;
}

// At once and past all buffers: the process may be ended at any time now.
void say(const Verdict& verdict) {
  const std::string text = std::string("error: ") + Error(verdict.problem, verdict.remedy).what() + "\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

Watch::Watch(const Rendezvous& here, const WatchTimes& times, const FromRank0& from_rank0) : rank_(here.rank), times_(times), post_(make_post(here, times, from_rank0)) {
  if (here.host == StoreHost::kLauncher) prctl(PR_SET_PDEATHSIG, SIGTERM);  // ranks do not outlive torchrun's agent
  thread_ = std::thread([this] { work(); });
}

Watch::~Watch() {
  {
    const std::lock_guard lock(mutex_);
    if (gave_up_) _exit(kEndedStatus);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
  post_->say_farewell();
}

void Watch::set_step(std::int64_t step) {
  const std::lock_guard lock(mutex_);
  own_.step = step;
}

void Watch::set_patience(std::chrono::milliseconds patience) {
  const std::lock_guard lock(mutex_);
  patience_ = patience;
}

// A thread that is lost, and does not know yet why, is not covered up by the others.
void Watch::set_where(Operation operation, const std::string& group, Where where) {
  if (own_.where == Where::kLost && !gave_up_) return;
  own_.operation = name_of(operation);
  own_.group = group;
  own_.where = where;
  since_ = Clock::now();
}

void Watch::enter(Operation operation, const std::string& group) {
  const std::lock_guard lock(mutex_);
  waiting_[std::this_thread::get_id()] = {operation, group};
  set_where(operation, group, waiting_.size() >= num_threads_ ? Where::kInside : Where::kOutside);
}

void Watch::leave() {
  const std::lock_guard lock(mutex_);
  const auto left = waiting_.extract(std::this_thread::get_id());
  set_where(left.mapped().first, left.mapped().second, Where::kOutside);
}

void Watch::begin_thread() {
  const std::lock_guard lock(mutex_);
  ++num_threads_;
}

void Watch::end_thread() {
  const std::lock_guard lock(mutex_);
  --num_threads_;
  if (waiting_.empty() || waiting_.size() < num_threads_) return;
  const auto& [operation, group] = waiting_.begin()->second;
  set_where(operation, group, Where::kInside);
}

void Watch::give_up(Operation operation, const std::string& group, const std::string& failure) {
  std::unique_lock lock(mutex_);
  waiting_.erase(std::this_thread::get_id());
  set_where(operation, group, Where::kLost);
  own_.failure = failure;
  changed_.wait(lock, [&] { return verdict_ && rank_ == 0; });  // for ever on another rank: the thread ends its process
  gave_up_ = true;
  throw Error(verdict_->problem, verdict_->remedy);
}

Beat Watch::beat() const {
  Beat out = own_;
  out.seconds = std::chrono::duration<double>(Clock::now() - since_).count();
  return out;
}

bool Watch::sleep() {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, kRound, [&] { return ending_; });
}

void Watch::work() {
  Clock::time_point told{}, before = Clock::now();
  Where told_where = Where::kOutside;
  while (sleep()) {
    std::unique_lock lock(mutex_);
    const Beat own = beat();
    post_->set_patience(patience_);
    lock.unlock();
    const auto now = Clock::now();
    if (now - std::exchange(before, now) > kLate) post_->forgive(now);
    const bool newly_lost = own.where == Where::kLost && told_where != Where::kLost;
    if (newly_lost || now - told >= times_.beat) {
      post_->tell(own);
      told = now;
      told_where = own.where;
    }
    if (const auto verdict = post_->listen(own, now)) return act(*verdict);
  }
}

void Watch::act(const Verdict& verdict) {
  // A stopped process does not read that it should end. Its connections close with it.
  if (is_stopped_here(verdict.process)) kill(static_cast<pid_t>(verdict.process.pid), SIGKILL);
  if (verdict.teller == rank_) say(verdict);
  if (rank_ != 0) _exit(kEndedStatus);
  {
    const std::lock_guard lock(mutex_);
    verdict_ = verdict;
  }
  changed_.notify_all();
  let_leader_save();
}

// As long as the main thread is at work on its end: it is not when it has not noticed, or waits for the others again.
void Watch::let_leader_save() {
  const auto known = Clock::now();
  while (sleep()) {
    const std::lock_guard lock(mutex_);
    const bool waits = own_.where == Where::kInside;
    const auto idle_since = !gave_up_ ? known : waits ? std::max(since_, known) : Clock::now();
    if (Clock::now() - idle_since > times_.grace) _exit(kEndedStatus);
  }
}

}  // namespace sluice::dist
