// What a rank sends: calls and bytes of each kind of exchange, for each group, counted as docs/communication.md says.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace sluice::dist {

// kConnect: the making of a group, for which its ranks wait as in a barrier.
enum class Operation { kAllReduce, kAllGather, kReduceScatter, kAllToAll, kSend, kReceive, kBroadcast, kBarrier, kConnect };
constexpr std::array<std::string_view, 9> names(Operation) {
  return {"all-reduce", "all-gather", "reduce-scatter", "all-to-all", "send", "receive", "broadcast", "barrier", "connection"};
}
constexpr std::string_view name_of(Operation operation) { return names(operation)[static_cast<std::size_t>(operation)]; }

// Bytes that a rank of `ranks` sends in an exchange at the least, however it is carried out. `bytes`: what is reduced or broadcast (0 for all but
// its root), this rank's part of what is gathered or scattered, what goes to other ranks for all-to-all and send.
std::int64_t bytes_sent(Operation operation, std::int64_t bytes, std::int64_t ranks);

// Totals since the last reset. Not for several threads at once.
class Traffic {
 public:
  struct Count {
    std::int64_t calls = 0, bytes = 0;
  };
  using Counts = std::array<Count, names(Operation{}).size()>;  // by Operation

  Counts& of_group(const std::string& name) { return groups_[name]; }  // stays where it is as others come
  const std::map<std::string, Counts>& groups() const { return groups_; }
  std::int64_t bytes() const;  // over all groups
  void reset();                // everything to zero

 private:
  std::map<std::string, Counts> groups_;
};

}  // namespace sluice::dist
