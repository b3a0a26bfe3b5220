#include "sluice/text/bpe_merges.h"

#include <algorithm>
#include <array>

namespace sluice::text {
namespace {

// Up to this many symbols, looking at every pair each time is faster than a heap.
constexpr std::size_t kFewSymbols = 24;

}  // namespace

void BpeMerges::apply(std::vector<std::int32_t>& ids, Scratch& scratch) const {
  if (ids.size() <= kFewSymbols) {
    apply_to_few(ids);
  } else {
    apply_to_many(ids, scratch);
  }
}

// Looks for the best pair among all, joins it, closes the gap, until none is left.
void BpeMerges::apply_to_few(std::vector<std::int32_t>& ids) const {
  constexpr Merge kNone = {INT32_MAX, -1};
  std::array<Merge, kFewSymbols> pairs;  // of symbol i and i + 1
  std::size_t count = ids.size();
  const auto look_up = [&](std::size_t i) {
    const Merge* merge = i + 1 < count ? merges_.find(ids[i], ids[i + 1]) : nullptr;
    pairs[i] = merge == nullptr ? kNone : *merge;
  };
  for (std::size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNone.rank) break;
    ids[best] = pairs[best].id;
    --count;
    for (std::size_t i = best + 1; i < count; ++i) {
      ids[i] = ids[i + 1];
      pairs[i] = pairs[i + 1];
    }
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
  ids.resize(count);
}

// A heap of candidate pairs over a linked list; a candidate whose symbols have changed since is dropped when it comes up.
void BpeMerges::apply_to_many(std::vector<std::int32_t>& ids, Scratch& scratch) const {
  using Symbol = Scratch::Symbol;
  using Candidate = Scratch::Candidate;
  std::vector<Symbol>& symbols = scratch.symbols;
  std::vector<Candidate>& heap = scratch.heap;
  const auto later = [](const Candidate& a, const Candidate& b) { return a.rank != b.rank ? a.rank > b.rank : a.position > b.position; };
  const auto offer = [&](std::int32_t position) {
    const Symbol& left = symbols[static_cast<std::size_t>(position)];
    if (left.next < 0) return false;
    const Merge* merge = merges_.find(left.id, symbols[static_cast<std::size_t>(left.next)].id);
    if (merge != nullptr) heap.push_back({merge->rank, position, merge->id});
    return merge != nullptr;
  };
  const auto count = static_cast<std::int32_t>(ids.size());
  symbols.clear();
  heap.clear();
  for (std::int32_t i = 0; i < count; ++i) symbols.push_back({ids[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  for (std::int32_t i = 0; i < count; ++i) offer(i);
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = symbols[static_cast<std::size_t>(best.position)];
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    const Merge* merge = merges_.find(left.id, right.id);
    if (merge == nullptr || merge->id != best.id) continue;
    left.id = best.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = best.position;
    if (offer(best.position)) std::push_heap(heap.begin(), heap.end(), later);
    if (left.previous >= 0 && offer(left.previous)) std::push_heap(heap.begin(), heap.end(), later);
  }
  ids.clear();
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
}

}  // namespace sluice::text
