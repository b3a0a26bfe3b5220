#include "sluice/dist/traffic.h"

namespace sluice::dist {

std::int64_t bytes_sent(Operation operation, std::int64_t bytes, std::int64_t ranks) {
  const std::int64_t others = ranks - 1;
  switch (operation) {
    case Operation::kAllReduce: return 2 * others * bytes / ranks;
    case Operation::kAllGather:
    case Operation::kReduceScatter:
    case Operation::kBroadcast: return others * bytes;
    case Operation::kAllToAll:
    case Operation::kSend: return bytes;
    case Operation::kReceive:
    case Operation::kBarrier:
    case Operation::kConnect: break;
  }
  return 0;
}

std::int64_t Traffic::bytes() const {
  std::int64_t sum = 0;
  for (const auto& [name, counts] : groups_) {
    for (const Count& count : counts) sum += count.bytes;
  }
  return sum;
}

void Traffic::reset() {
  for (auto& [name, counts] : groups_) counts = {};
}

}  // namespace sluice::dist
