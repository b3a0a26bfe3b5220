// Filters that part a sequence: into batches, into slices, by an attribute.
#include <algorithm>

#include "sluice/text/jinja/attribute_path.h"
#include "sluice/text/jinja/interpreter.h"

namespace sluice::text::jinja {
namespace {

// Lists of `linecount` items, the last filled up where there is something to fill it with.
Value run_batch(Interpreter& interpreter, Bound& a) {
  const std::int64_t size = a.integer(1);
  if (size < 1) throw Fault("makes batches of " + std::to_string(size) + " items");
  std::vector<Value> batches, batch;
  for (Value& item : items_of(a[0])) {
    batch.push_back(std::move(item));
    if (static_cast<std::int64_t>(batch.size()) == size) batches.push_back(make_list(std::exchange(batch, {})));
  }
  if (!batch.empty()) {
    if (const auto filling = a.value(2)) {
      interpreter.budget().charge(static_cast<std::uint64_t>(size));
      batch.resize(static_cast<std::size_t>(size), *filling);
    }
    batches.push_back(make_list(std::move(batch)));
  }
  return interpreter.generator(std::move(batches));
}

// `slices` lists of nearly equal length, the longer ones first; the shorter ones filled up where there is something to fill them with.
Value run_slice(Interpreter& interpreter, Bound& a) {
  const std::int64_t count = a.integer(1);
  if (count < 1) throw Fault("parts a sequence into " + std::to_string(count) + " slices");
  constexpr std::uint64_t kWorkOfOne = 32;  // a list of its own, though empty
  interpreter.budget().charge(kWorkOfOne * std::min(static_cast<std::uint64_t>(count), kMaxWork));
  const std::vector<Value> items = items_of(a[0]);
  const auto slices = static_cast<std::size_t>(count);
  std::vector<Value> out;
  auto begin = items.begin();
  for (std::size_t i = 0; i < slices; ++i) {
    const bool is_longer = i < items.size() % slices;
    const auto end = begin + static_cast<std::ptrdiff_t>(items.size() / slices + (is_longer ? 1 : 0));
    std::vector<Value> slice(begin, end);
    if (const auto filling = a.value(2); filling && !is_longer) slice.push_back(*filling);
    out.push_back(make_list(std::move(slice)));
    begin = end;
  }
  return interpreter.generator(std::move(out));
}

// [(grouper, list), ...] in the order of the attribute. Without regard to case, a group has its first item's spelling.
Value run_groupby(Interpreter& interpreter, Bound& a) {
  const LetterCase letters = a.truth_or(3, false) ? LetterCase::kKept : LetterCase::kIgnored;
  const std::optional<Value> fallback = a.has(2) ? std::optional(a[2]) : std::nullopt;
  const AttributePath key(a.value(1), letters, fallback), spelt(a.value(1), LetterCase::kKept, fallback);
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items_of(a[0])) keyed.emplace_back(key.of(interpreter, item), std::move(item));
  std::ranges::stable_sort(keyed, [&](const auto& x, const auto& y) {
    interpreter.budget().charge(2);
    return less(x.first, y.first);
  });
  std::vector<Value> groups;
  for (auto begin = keyed.begin(); begin != keyed.end();) {
    const auto end = std::find_if(begin, keyed.end(), [&](const auto& other) { return !equal(other.first, begin->first); });
    std::vector<Value> items;
    for (auto at = begin; at != end; ++at) items.push_back(at->second);
    Value grouper = spelt.of(interpreter, items.front());
    groups.push_back(make_group(std::move(grouper), std::move(items)));
    begin = end;
  }
  return make_list(std::move(groups));
}

constexpr Builtin kFilters[] = {
    {"batch", "value linecount fill_with?", run_batch},
    {"slice", "value slices fill_with?", run_slice},
    {"groupby", "value attribute default? case_sensitive?", run_groupby},
};

}  // namespace

std::span<const Builtin> grouping_filters() { return kFilters; }

}  // namespace sluice::text::jinja
