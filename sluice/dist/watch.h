// Ends a run whose ranks cannot all go on: within half a minute, on every rank, with one message that says which rank is the cause.
#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "sluice/dist/rendezvous.h"
#include "sluice/dist/traffic.h"
#include "sluice/dist/watch_post.h"

namespace sluice::dist {

// Gives every rank the text that rank 0 calls it with.
using FromRank0 = std::function<std::string(const std::string& text)>;

// A thread a rank, which tells rank 0 every two seconds where this rank's main thread is. Rank 0 finds ranks that died, do not answer or do not
// come to where the others wait (judge.h); the others watch rank 0. What ends the run is said once, by rank 0 where it can; then every
// process ends with kEndedStatus, without waiting for what it is in. Rank 0's main thread may save first, where its exchange fails.
class Watch {
 public:
  static constexpr int kEndedStatus = 2;  // as any failure that a user can mend

  // `from_rank0` is used here only. Error when this rank does not reach rank 0's watch.
  // From now on SIGTERM comes when torchrun's agent, which started this process, is gone.
  Watch(const Rendezvous& here, const WatchTimes& times, const FromRank0& from_rank0);
  // Takes leave of the others. Where give_up() has thrown, ends the process: the threads of Gloo's groups may wait for a rank that is gone. So
  // it is to be destroyed before the groups.
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void set_step(std::int64_t step);  // that begins, from 1
  void set_patience(std::chrono::milliseconds patience);

  // This thread waits for others from enter() to leave(). It is the main thread, unless others work beside it: then the rank waits where all do.
  void enter(Operation operation, const std::string& group);
  void leave();
  // One thread more exchanges; one less, because it has nothing to do for now.
  void begin_thread();
  void end_thread();

  // For such a thread, when an exchange has failed with `failure`: waits until it is known why. On rank 0 an Error of what has been said then;
  // another rank ends here.
  [[noreturn]] void give_up(Operation operation, const std::string& group, const std::string& failure);

 private:
  void work();
  void act(const Verdict& verdict);
  void let_leader_save();
  void set_where(Operation operation, const std::string& group, Beat::Where where);  // with the mutex held, as beat()
  Beat beat() const;
  bool sleep();  // until the next round; false when the watch ends

  const std::int64_t rank_;
  const WatchTimes times_;
  std::unique_ptr<WatchPost> post_;  // the thread's

  std::mutex mutex_;  // of all below
  std::chrono::milliseconds patience_ = times_.patience;
  std::condition_variable changed_;
  Beat own_;
  Clock::time_point since_ = Clock::now();  // own_.where is so
  std::size_t num_threads_ = 1;             // that exchange
  std::map<std::thread::id, std::pair<Operation, std::string>> waiting_;  // those of them that are inside, and where
  std::optional<Verdict> verdict_;
  bool gave_up_ = false, ending_ = false;
  std::thread thread_;
};

}  // namespace sluice::dist
