// How the watches of a run's ranks talk: rank 0 keeps a connection to each other rank. Every line is a JSON object.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sluice/dist/judge.h"
#include "sluice/dist/line_socket.h"
#include "sluice/dist/rendezvous.h"

namespace sluice::dist {

// A rank's end. Used by the watch's thread alone.
class WatchPost {
 public:
  WatchPost(std::int64_t world, const WatchTimes& times) : judge_(world, times) {}
  virtual ~WatchPost() = default;
  virtual void tell(const Beat& own) = 0;  // sends this rank's sign of life
  // Takes in what has come. What ends the run, once that is known; `own` as it is now.
  virtual std::optional<Verdict> listen(const Beat& own, Clock::time_point now) = 0;
  // This rank ends by itself: says so, and waits a second for the others to have heard.
  virtual void say_farewell() = 0;

  void forgive(Clock::time_point now) { judge_.forgive(now); }
  void set_patience(std::chrono::milliseconds patience) { judge_.set_patience(patience); }

 protected:
  Judge judge_;
};

// Of rank 0, which decides for all. Who does not know the invitation is sent away.
class LeaderPost final : public WatchPost {
 public:
  LeaderPost(std::int64_t world, const WatchTimes& times);
  std::string invitation() const;  // for FollowerPosts
  void tell(const Beat& own) override;
  std::optional<Verdict> listen(const Beat& own, Clock::time_point now) override;
  void say_farewell() override;

 private:
  void send_all(const Json& message);
  void welcome(Clock::time_point now);
  std::optional<std::int64_t> greeted_by(const std::string& line, Clock::time_point now);  // the rank that says hello so
  void take(std::int64_t rank, LineSocket& socket, const Json& message, Clock::time_point now);

  std::string token_;
  LineListener listener_;
  std::vector<LineSocket> strangers_;  // have not said yet who they are
  std::map<std::int64_t, LineSocket> ranks_;
  std::int64_t deputy_ = 0;  // that they were told of
};

// Of the other ranks, which hear rank 0's decisions and watch rank 0.
class FollowerPost final : public WatchPost {
 public:
  FollowerPost(const Rendezvous& here, const WatchTimes& times, const std::string& invitation);  // Error when rank 0 is not reached
  void tell(const Beat& own) override;
  std::optional<Verdict> listen(const Beat& own, Clock::time_point now) override;
  void say_farewell() override;

 private:
  std::int64_t rank_;
  LineSocket leader_;
  std::int64_t deputy_ = 1;
};

}  // namespace sluice::dist
