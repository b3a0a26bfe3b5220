// Methods of list, tuple and dict.
#include <algorithm>

#include "sluice/text/jinja/builtin.h"

namespace sluice::text::jinja {
namespace {

Value run_index(Interpreter&, Bound& a) {
  const std::vector<Value>& items = a[0].list().items;
  const auto found = std::ranges::find_if(items, [&](const Value& item) { return equal(item, a[1]); });
  if (found == items.end()) throw Fault("asks for the index of a value that is not in the " + a[0].type_name());
  return found - items.begin();
}

Value run_count(Interpreter&, Bound& a) {
  return std::ranges::count_if(a[0].list().items, [&](const Value& item) { return equal(item, a[1]); });
}

Value run_copy(Interpreter&, Bound& a) { return a[0]; }

Value run_get(Interpreter&, Bound& a) {
  const Value* found = a[0].dict().find(a[1]);
  return found != nullptr ? *found : a.has(2) ? a[2] : Value();
}

enum class Part { kKeys, kValues, kItems };

template <Part part>
Value run_view(Interpreter&, Bound& a) {
  std::vector<Value> items;
  for (const auto& [key, value] : a[0].dict().entries())
    items.push_back(part == Part::kKeys ? key : part == Part::kValues ? value : make_list({key, value}, List::Kind::kTuple));
  return make_list(std::move(items), List::Kind::kView);
}

constexpr Builtin kListMethods[] = {
    {"index", "self value", run_index},
    {"count", "self value", run_count},
    {"copy", "self", run_copy},
};

constexpr Builtin kDictMethods[] = {
    {"get", "self key default?", run_get},
    {"keys", "self", run_view<Part::kKeys>},
    {"values", "self", run_view<Part::kValues>},
    {"items", "self", run_view<Part::kItems>},
    {"copy", "self", run_copy},
};

}  // namespace

std::span<const Builtin> list_methods() { return kListMethods; }
std::span<const Builtin> dict_methods() { return kDictMethods; }

}  // namespace sluice::text::jinja
