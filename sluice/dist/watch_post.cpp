#include "sluice/dist/watch_post.h"

#include <random>
#include <utility>

namespace sluice::dist {
namespace {

constexpr std::chrono::seconds kFarewell{1};

// What rank 0 tells the others before the first connection: where to go, what to say there, who it is.
struct Invitation {
  std::int64_t port = 0;
  std::string token;
  Process process;
};

std::string to_text(const Invitation& it) { return dump_json(Json{{"port", it.port}, {"token", it.token}, {"process", to_json(it.process)}}); }

Invitation invitation_from(const std::string& text) {
  const Json json = parse_json(text, "what rank 0 tells of its watch");
  return {json.at("port"), json.at("token"), process_from_json(json.at("process"))};
}

std::string random_token() {
  std::random_device random;
  return std::to_string(random()) + "-" + std::to_string(random());
}

}  // namespace

LeaderPost::LeaderPost(std::int64_t world, const WatchTimes& times) : WatchPost(world, times), token_(random_token()) {
  judge_.greet(0, this_process(), Clock::now());
}

std::string LeaderPost::invitation() const { return to_text({listener_.port(), token_, this_process()}); }

void LeaderPost::send_all(const Json& message) {
  const std::string line = dump_json(message);
  for (auto& [rank, socket] : ranks_) socket.send(line);
}

void LeaderPost::tell(const Beat& own) {
  deputy_ = judge_.deputy();
  send_all({{"beat", to_json(own)}, {"deputy", deputy_}});
}

void LeaderPost::say_farewell() {
  send_all({{"farewell", true}});
  const auto until = Clock::now() + kFarewell;
  for (auto& [rank, socket] : ranks_) socket.close_after_other(until);
}

std::optional<Verdict> LeaderPost::listen(const Beat& own, Clock::time_point now) {
  const std::size_t known = ranks_.size();
  welcome(now);
  judge_.hear(0, own, now);
  for (auto& [rank, socket] : ranks_) {
    for (const std::string& line : socket.receive()) take(rank, socket, parse_json(line, "a rank's sign of life"), now);
    if (socket.closed()) judge_.miss(rank, now);
  }
  if (ranks_.size() != known || judge_.deputy() != deputy_) tell(own);  // all must know of one and the same deputy
  const auto verdict = judge_.of_all(now);
  if (verdict) send_all({{"verdict", to_json(*verdict)}});
  return verdict;
}

void LeaderPost::take(std::int64_t rank, LineSocket& socket, const Json& message, Clock::time_point now) {
  if (message.contains("beat")) judge_.hear(rank, beat_from_json(message.at("beat")), now);
  if (!message.contains("farewell")) return;
  judge_.bid_farewell(rank);
  socket.close();
}

void LeaderPost::welcome(Clock::time_point now) {
  for (LineSocket& socket : listener_.accept()) strangers_.push_back(std::move(socket));
  std::vector<LineSocket> silent;
  for (LineSocket& socket : strangers_) {
    const auto lines = socket.receive();
    if (lines.empty() && !socket.closed()) silent.push_back(std::move(socket));
    const auto rank = lines.empty() ? std::nullopt : greeted_by(lines[0], now);
    if (!rank) continue;
    LineSocket& kept = ranks_.emplace(*rank, std::move(socket)).first->second;
    for (std::size_t i = 1; i < lines.size(); ++i) take(*rank, kept, parse_json(lines[i], "a rank's sign of life"), now);
  }
  strangers_.swap(silent);
}

std::optional<std::int64_t> LeaderPost::greeted_by(const std::string& line, Clock::time_point now) {
  const Json hello = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!hello.is_object() || !hello.contains("token") || hello.at("token") != token_) return std::nullopt;
  const std::int64_t rank = hello.at("rank");
  judge_.greet(rank, process_from_json(hello.at("process")), now);
  return rank;
}

FollowerPost::FollowerPost(const Rendezvous& here, const WatchTimes& times, const std::string& invitation)
    : WatchPost(here.world, times), rank_(here.rank), leader_(LineSocket::to(here.address, invitation_from(invitation).port)) {
  const Invitation invited = invitation_from(invitation);
  judge_.greet(0, invited.process, Clock::now());
  judge_.greet(rank_, this_process(), Clock::now());
  leader_.send(dump_json(Json{{"token", invited.token}, {"rank", rank_}, {"process", to_json(this_process())}}));
}

void FollowerPost::tell(const Beat& own) { leader_.send(dump_json(Json{{"beat", to_json(own)}})); }

void FollowerPost::say_farewell() {
  leader_.send(dump_json(Json{{"farewell", true}}));
  leader_.close_after_other(Clock::now() + kFarewell);
}

std::optional<Verdict> FollowerPost::listen(const Beat& own, Clock::time_point now) {
  judge_.hear(rank_, own, now);
  for (const std::string& line : leader_.receive()) {
    const Json message = parse_json(line, "rank 0's sign of life");
    if (message.contains("verdict")) return verdict_from_json(message.at("verdict"));
    if (message.contains("beat")) {
      judge_.hear(0, beat_from_json(message.at("beat")), now);
      deputy_ = message.at("deputy");
    }
    if (message.contains("farewell")) {
      judge_.bid_farewell(0);
      leader_.close();
    }
  }
  if (leader_.closed()) judge_.miss(0, now);
  auto verdict = judge_.of_rank(0, now);
  if (verdict && verdict->teller) verdict->teller = deputy_;
  return verdict;
}

}  // namespace sluice::dist
