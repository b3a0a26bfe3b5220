#include "sluice/dist/judge.h"

#include <algorithm>
#include <map>
#include <sstream>

namespace sluice::dist {
namespace {

using Where = Beat::Where;

constexpr const char* kGoOn = "; then go on with --resume latest";

std::string exchange_of(const Beat& beat) { return "the " + beat.operation + " of the group " + beat.group; }

std::string step_of(const Beat& beat) { return beat.step == 0 ? " before the first step" : " at step " + std::to_string(beat.step); }

// "during the all-reduce of the group world at step 17"
std::string place_of(const Beat& beat) {
  if (beat.operation.empty()) return "at the start of the run";
  return (beat.where == Where::kOutside ? "after " : "during ") + exchange_of(beat) + step_of(beat);
}

double seconds(std::chrono::duration<double> time) { return time.count(); }

std::string seconds_of(const Beat& beat) { return std::to_string(static_cast<std::int64_t>(beat.seconds)) + " s"; }

}  // namespace

Json to_json(const Process& process) { return {{"host", process.host}, {"pid", process.pid}, {"birth", process.birth}}; }
Process process_from_json(const Json& json) { return {json.at("host"), json.at("pid"), json.at("birth")}; }

Json to_json(const Beat& beat) {
  return {{"step", beat.step}, {"operation", beat.operation}, {"group", beat.group}, {"where", static_cast<int>(beat.where)}, {"seconds", beat.seconds}, {"failure", beat.failure}};
}

Beat beat_from_json(const Json& json) {
  return {json.at("step"), json.at("operation"), json.at("group"), static_cast<Where>(json.at("where").get<int>()), json.at("seconds"), json.at("failure")};
}

Json to_json(const Verdict& verdict) {
  return {{"rank", verdict.rank}, {"process", to_json(verdict.process)}, {"teller", verdict.teller.value_or(-1)}, {"problem", verdict.problem}, {"remedy", verdict.remedy}};
}

Verdict verdict_from_json(const Json& json) {
  const std::int64_t teller = json.at("teller");
  return {json.at("rank"), process_from_json(json.at("process")), teller < 0 ? std::nullopt : std::optional(teller), json.at("problem"), json.at("remedy")};
}

void Judge::greet(std::int64_t rank, const Process& process, Clock::time_point now) {
  at(rank).process = process;
  at(rank).heard = now;
}

void Judge::hear(std::int64_t rank, const Beat& beat, Clock::time_point now) {
  at(rank).beat = beat;
  at(rank).heard = now;
}

void Judge::miss(std::int64_t rank, Clock::time_point now) {
  if (!at(rank).missed) at(rank).missed = now;
}

void Judge::bid_farewell(std::int64_t rank) { at(rank).ended = true; }

void Judge::forgive(Clock::time_point now) {
  for (Rank& rank : ranks_) {
    if (rank.heard) rank.heard = now;
  }
}

std::int64_t Judge::deputy() const {
  std::int64_t neighbour = 0;
  for (std::int64_t rank = 1; rank < static_cast<std::int64_t>(ranks_.size()); ++rank) {
    if (!at(rank).here()) continue;
    if (at(rank).process.host != at(0).process.host) return rank;
    if (neighbour == 0) neighbour = rank;
  }
  return neighbour;
}

std::optional<std::int64_t> Judge::longest(Where where) const {
  std::optional<std::int64_t> out;
  for (std::int64_t rank = 0; rank < static_cast<std::int64_t>(ranks_.size()); ++rank) {
    if (at(rank).here() && at(rank).beat.where == where && (!out || at(rank).beat.seconds > at(*out).beat.seconds)) out = rank;
  }
  return out;
}

// Where the others miss `rank`, or else where it said last that it is.
std::string Judge::missed_in(std::int64_t rank) const {
  if (const auto lost = longest(Where::kLost)) return place_of(at(*lost).beat);
  const auto waiting = longest(Where::kInside);
  const bool is_missed = waiting && *waiting != rank && at(*waiting).beat.seconds > seconds(times_.settle) / 2;
  return place_of(at(is_missed ? *waiting : rank).beat);
}

Verdict Judge::verdict(std::int64_t rank, const std::string& problem, const std::string& remedy) const {
  const Process& process = at(rank).process;
  const std::string who = "rank " + std::to_string(rank) + " (host " + process.host + ", process " + std::to_string(process.pid) + ") ";
  return {rank, process, rank == 0 ? deputy() : 0, who + problem, remedy + kGoOn};
}

std::optional<Verdict> Judge::of_rank(std::int64_t rank, Clock::time_point now) const {
  const Rank& it = at(rank);
  if (it.ended) {
    if (!longest(Where::kLost)) return std::nullopt;
    Verdict out = verdict(rank, "ended " + place_of(it.beat), "see what it says itself");
    out.teller.reset();
    return out;
  }
  if (!it.heard) return std::nullopt;
  const bool is_due = it.missed ? now - *it.missed >= times_.settle : now - *it.heard >= times_.silence;
  if (!is_due) return std::nullopt;
  // A rank of its host ends a stopped one: its connections close then, after a long silence.
  const bool died = it.missed && *it.missed - *it.heard < times_.silence / 2;
  if (died) return verdict(rank, "died " + missed_in(rank), "see its messages and its host's kernel log (was memory short?)");
  return verdict(rank, "stopped answering " + missed_in(rank), "see that the host is up and connected, and that nothing stopped the process");
}

std::optional<Verdict> Judge::of_all(Clock::time_point now) const {
  for (std::int64_t rank = 0; rank < static_cast<std::int64_t>(ranks_.size()); ++rank) {
    if (auto found = of_rank(rank, now)) return found;
  }
  if (auto found = unexplained()) return found;
  if (auto found = hung()) return found;
  return apart();
}

// An exchange failed, and after all the time that shows a rank silent every rank is still there.
std::optional<Verdict> Judge::unexplained() const {
  const auto lost = longest(Where::kLost);
  if (!lost || at(*lost).beat.seconds < seconds(times_.silence + times_.settle)) return std::nullopt;
  const Beat& beat = at(*lost).beat;
  Verdict out = verdict(*lost, "failed " + place_of(beat) + ": " + beat.failure, "see that the hosts reach each other");
  out.teller = 0;
  return out;
}

std::optional<Verdict> Judge::hung() const {
  const auto waiting = longest(Where::kInside), away = longest(Where::kOutside);
  const double patience = seconds(times_.patience);
  if (!waiting || !away || at(*waiting).beat.seconds < patience || at(*away).beat.seconds < patience) return std::nullopt;
  const Beat &waits = at(*waiting).beat, &stays = at(*away).beat;
  const std::string other = "rank " + std::to_string(*waiting) + " has waited for " + seconds_of(waits) + " in " + exchange_of(waits);
  return verdict(*away, "does not go on " + place_of(stays) + " for " + seconds_of(stays) + "; " + other,
                 "see what it does (gdb -p, py-spy, its messages), and raise the patience if its work takes as long");
}

// All ranks wait for each other. The cause is one of those that wait in an exchange that the fewest wait in.
std::optional<Verdict> Judge::apart() const {
  std::map<std::string, std::vector<std::int64_t>> waiting;
  for (std::int64_t rank = 0; rank < static_cast<std::int64_t>(ranks_.size()); ++rank) {
    const Beat& beat = at(rank).beat;
    if (!at(rank).here() || beat.where != Where::kInside || beat.seconds < seconds(times_.patience)) return std::nullopt;
    waiting[place_of(beat)].push_back(rank);
  }
  if (waiting.size() < 2) return std::nullopt;  // an exchange's own time limit ends it
  const auto fewer = [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); };
  const auto fewest = std::ranges::min_element(waiting, fewer), most = std::ranges::max_element(waiting, fewer);
  const std::int64_t rank = fewest->second.back();
  const std::string other = "rank " + std::to_string(most->second.front()) + " " + most->first;
  return verdict(rank, "waits " + fewest->first + " for " + seconds_of(at(rank).beat) + ", " + other + ": ranks that do not take the same steps",
                 "report this with both ranks' messages");
}

}  // namespace sluice::dist
