// Who of a run's ranks has died, stopped or hung, by what the ranks tell of themselves: plain decisions, without clocks and connections.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/json.h"
#include "sluice/dist/process.h"

namespace sluice::dist {

using Clock = std::chrono::steady_clock;

struct WatchTimes {
  std::chrono::milliseconds beat{2'000};     // from one sign of life to the next
  std::chrono::milliseconds silence{20'000}; // a rank that was not heard of for so long is stopped, or its host is gone
  // A rank that stays away from the others' exchange for so long hangs. More than what one rank does alone takes: evaluating, saving.
  std::chrono::milliseconds patience{1'800'000};
  std::chrono::milliseconds settle{1'000};   // until the others have told where they miss a rank that died
  std::chrono::milliseconds grace{3'000};    // for rank 0's main thread to notice and begin to save
};

Json to_json(const Process& process);
Process process_from_json(const Json& json);

// Where a rank's main thread is.
struct Beat {
  enum class Where { kOutside, kInside, kLost };  // of an exchange; kLost: the exchange failed
  std::int64_t step = 0;                          // 0 before the first
  std::string operation, group;                   // of the exchange, or the last one; empty before the first
  Where where = Where::kOutside;
  double seconds = 0;   // that it has been there
  std::string failure;  // what the exchange failed with
};
Json to_json(const Beat& beat);
Beat beat_from_json(const Json& json);

// What ends the run.
struct Verdict {
  std::int64_t rank = 0;  // that is the cause
  Process process;
  std::optional<std::int64_t> teller;  // the rank that says so; none where the cause says it itself
  std::string problem, remedy;
};
Json to_json(const Verdict& verdict);
Verdict verdict_from_json(const Json& json);

class Judge {
 public:
  Judge(std::int64_t world, const WatchTimes& times) : times_(times), ranks_(static_cast<std::size_t>(world)) {}

  void greet(std::int64_t rank, const Process& process, Clock::time_point now);  // a rank is not judged before
  void hear(std::int64_t rank, const Beat& beat, Clock::time_point now);
  void miss(std::int64_t rank, Clock::time_point now);  // its connection is closed; told again changes nothing
  void bid_farewell(std::int64_t rank);                 // it has ended by itself and says why where there is something to say
  void set_patience(std::chrono::milliseconds patience) { times_.patience = patience; }
  void forgive(Clock::time_point now);                  // this process itself was stopped: silence says nothing

  std::optional<Verdict> of_rank(std::int64_t rank, Clock::time_point now) const;  // died, stopped, or ended while others need it
  std::optional<Verdict> of_all(Clock::time_point now) const;                      // for rank 0: these, and what only who hears all ranks sees
  // Who speaks where rank 0 is the cause: the lowest other rank that is there, if possible of another host, which may be gone with rank 0.
  std::int64_t deputy() const;

 private:
  struct Rank {
    Process process;
    Beat beat;
    std::optional<Clock::time_point> heard, missed;
    bool ended = false;
    bool here() const { return heard && !missed && !ended; }
  };
  const Rank& at(std::int64_t rank) const { return ranks_[static_cast<std::size_t>(rank)]; }
  Rank& at(std::int64_t rank) { return ranks_[static_cast<std::size_t>(rank)]; }
  std::optional<std::int64_t> longest(Beat::Where where) const;  // the rank that is there for longest
  std::string missed_in(std::int64_t rank) const;
  std::optional<Verdict> hung() const;
  std::optional<Verdict> apart() const;
  std::optional<Verdict> unexplained() const;
  Verdict verdict(std::int64_t rank, const std::string& problem, const std::string& remedy) const;

  WatchTimes times_;
  std::vector<Rank> ranks_;
};

}  // namespace sluice::dist
