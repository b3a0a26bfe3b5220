#include "sluice/launch/local.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>

#include "sluice/base/interrupt.h"
#include "sluice/launch/child.h"
#include "sluice/launch/environment.h"
#include "sluice/launch/rank_output.h"
#include "sluice/launch/signals.h"

namespace sluice::launch {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{30};  // of ranks that are told to stop, as torchrun has it
constexpr int kUserError = 2;

Threads threads() { return std::getenv("OMP_NUM_THREADS") ? Threads::kAsInherited : Threads::kShare; }

struct Rank {
  std::int64_t number;
  std::unique_ptr<RankOutput> output;  // none where the rank writes to our own streams
  std::unique_ptr<Child> child;
  bool ended = false;
};

// All ranks of this machine, started together.
class Ranks {
 public:
  Ranks(const LaunchConfig& config, const Command& command, SignalQueue& signals, Log& log) : signals_(signals), log_(log) {
    const MeetingPlace place = meeting_place(config);
    const std::vector<std::string> inherited = own_environment();
    for (std::int64_t local = 0; local < config.nproc_per_node; ++local) {
      const auto environment = merged(inherited, rank_variables(config, local, place, threads()));
      start(config.node_rank * config.nproc_per_node + local, config.log_dir, command, environment);
    }
  }

  // Until all have ended; the exit status of the first that failed, or 0.
  int wait() {
    while (!std::ranges::all_of(ranks_, &Rank::ended)) {
      wait_for_news();
      pass_signals_on();
      for (Rank& rank : ranks_) show(rank, Amount::kSome);
      look_for_ends();
      if (!deadline_ || Clock::now() < *deadline_) continue;
      tell_all(SIGKILL);
      deadline_.reset();
    }
    for (Rank& rank : ranks_) show(rank, Amount::kAll);
    return failed_ ? failed_->status : 0;
  }

  bool told_to_stop() const { return told_to_stop_; }

 private:
  struct End {
    std::int64_t rank;
    int status;
  };
  enum class Amount { kSome, kAll };

  void start(std::int64_t number, const fs::path& log_dir, const Command& command, const std::vector<std::string>& environment) {
    Rank& rank = ranks_.emplace_back(Rank{number, {}, {}});
    ChildStreams streams;
    const std::string name = std::to_string(number);
    if (number != 0 || !log_dir.empty()) {
      rank.output = std::make_unique<RankOutput>(number == 0 ? "" : "[rank " + name + "] ", log_dir.empty() ? fs::path() : log_dir / ("rank-" + name + ".log"));
      streams.error = rank.output->write_end();
      if (number != 0) streams.output = streams.error;  // rank 0 alone has data to print
    }
    rank.child = std::make_unique<Child>(command.words(), environment, streams);
    if (rank.output) rank.output->close_write_end();
  }

  // A signal, a rank's end (SIGCHLD), a rank's words, or the end of our patience.
  void wait_for_news() const {
    std::vector<pollfd> sources{{signals_.descriptor(), POLLIN, 0}};
    for (const Rank& rank : ranks_) {
      if (rank.output) sources.push_back({rank.output->read_end(), POLLIN, 0});
    }
    int timeout_ms = -1;
    if (deadline_) timeout_ms = static_cast<int>(std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - Clock::now()).count()));
    poll(sources.data(), sources.size(), timeout_ms);
  }

  void pass_signals_on() {
    while (const auto signal = signals_.next()) {
      if (*signal == SIGCHLD) continue;
      told_to_stop_ = true;
      tell_all(*signal);
      tell_all(SIGCONT);  // a stopped rank hears nothing before it goes on
    }
  }

  void show(Rank& rank, Amount amount) {
    auto came = RankOutput::Came::kNothing;
    do {
      if (rank.output) came = rank.output->take();
    } while (amount == Amount::kAll && came == RankOutput::Came::kSome);
    if (came == RankOutput::Came::kEnd) rank.output.reset();
  }

  void look_for_ends() {
    std::vector<End> failed;
    for (Rank& rank : ranks_) {
      const auto status = rank.child->status();
      if (!status || rank.ended) continue;
      rank.ended = true;
      if (*status != 0) failed.push_back({rank.number, *status});
    }
    if (failed.empty() || failed_) return;
    // Ranks that lose another end with kUserError: of several at once, one that ended otherwise is the cause.
    const auto cause = std::ranges::find_if(failed, [](const End& end) { return end.status != kUserError; });
    failed_ = cause == failed.end() ? failed[0] : *cause;
    if (failed_->status != kInterruptedStatus && !told_to_stop_) stop_the_others();
  }

  void stop_the_others() {
    // A rank has said itself what its user can fix.
    if (failed_->status != kUserError) log_.warning("rank " + std::to_string(failed_->rank) + " ended with " + describe_status(failed_->status));
    tell_all(SIGTERM);
    deadline_ = Clock::now() + kPatience;
  }

  void tell_all(int signal) const {
    for (const Rank& rank : ranks_) rank.child->tell(signal);
  }

  SignalQueue& signals_;
  Log& log_;
  std::vector<Rank> ranks_;
  std::optional<End> failed_;  // the first
  std::optional<Clock::time_point> deadline_;
  bool told_to_stop_ = false;
};

bool may_start_again(int status, const Ranks& ranks, const LaunchConfig& config) {
  if (status == 0 || status == kInterruptedStatus || ranks.told_to_stop()) return false;
  return status != kUserError || config.nnodes > 1;  // of several machines it may be the loss of another one
}

}  // namespace

int run_local(const LaunchConfig& config, const Command& command, Log& log) {
  if (!config.log_dir.empty()) fs::create_directories(config.log_dir);
  SignalQueue signals;
  for (std::int64_t restart = 0;; ++restart) {
    Ranks ranks(config, restart == 0 ? command : restarted(command), signals, log);
    const int status = ranks.wait();
    if (restart == config.max_restarts || !may_start_again(status, ranks, config)) return status;
    log.warning("starting all ranks again, restart " + std::to_string(restart + 1) + " of at most " + std::to_string(config.max_restarts));
  }
}

std::vector<std::string> describe_local(const LaunchConfig& config, const Command& command) {
  const MeetingPlace place = meeting_place(config);
  std::vector<std::string> lines;
  for (std::int64_t local = 0; local < config.nproc_per_node; ++local) {
    std::string line;
    for (const std::string& variable : merged({}, rank_variables(config, local, place, threads()))) {
      const auto equals = variable.find('=');
      line += variable.substr(0, equals + 1) + (equals + 1 < variable.size() ? shell_word(variable.substr(equals + 1)) : "") + " ";
    }
    lines.push_back(line + shell_line(command.words()));
  }
  return lines;
}

}  // namespace sluice::launch
