// Filters of sequences as a whole: their length, ends, order and sums.
#include <algorithm>
#include <cmath>

#include "sluice/text/jinja/attribute_path.h"
#include "sluice/text/jinja/interpreter.h"
#include "sluice/text/jinja/objects.h"
#include "sluice/text/jinja/operators.h"
#include "sluice/text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

Value run_length(Interpreter&, Bound& a) { return length_of(a[0]); }

Value run_list(Interpreter& interpreter, Bound& a) {
  std::vector<Value> items = items_of(a[0]);
  interpreter.budget().charge(items.size());
  return make_list(std::move(items));
}

Value run_first(Interpreter&, Bound& a) {
  const Value nothing = Value::undefined("uses the first item of an empty sequence");
  if (auto* generator = dynamic_cast<Generator*>(a[0].object())) return generator->take_one().value_or(nothing);
  const std::vector<Value> items = items_of(a[0]);
  return items.empty() ? nothing : items.front();
}

Value run_last(Interpreter&, Bound& a) {
  if (a[0].object() != nullptr) throw Fault("takes the last item of a " + a[0].type_name() + ", which cannot be gone over backwards");
  const std::vector<Value> items = items_of(a[0]);
  return items.empty() ? Value::undefined("uses the last item of an empty sequence") : items.back();
}

Value run_reverse(Interpreter& interpreter, Bound& a) {
  if (a[0].is_text()) return slice_of(a[0], {}, {}, -1, interpreter.budget());
  std::vector<Value> items = items_of(a[0]);
  std::ranges::reverse(items);
  return interpreter.generator(std::move(items));
}

Value run_join(Interpreter& interpreter, Bound& a) {
  const std::string separator = a.has(1) ? to_text(a[1]) : "";
  const AttributePath path(a.value(2), LetterCase::kKept);
  std::string out;
  bool first = true;
  for (const Value& item : items_of(a[0])) {
    const Value value = path.of(interpreter, item);
    interpreter.budget().charge_text(separator.size() + 8 * value.weight());
    out += (std::exchange(first, false) ? "" : separator) + to_text(value);
  }
  interpreter.budget().charge_text(out.size());
  return out;
}

// Items with what they are ordered by.
using Keyed = std::pair<std::vector<Value>, Value>;

std::vector<Value> sorted(Interpreter& interpreter, std::vector<Keyed> keyed, bool reverse) {
  const auto before = [&](const Keyed& x, const Keyed& y) {
    interpreter.budget().charge(2);
    const auto [p, q] = std::ranges::mismatch(x.first, y.first, equal);
    return p != x.first.end() && q != y.first.end() && less(*p, *q);
  };
  // Equal ones keep their order either way.
  if (reverse) std::ranges::reverse(keyed);
  std::ranges::stable_sort(keyed, before);
  if (reverse) std::ranges::reverse(keyed);
  std::vector<Value> out;
  for (Keyed& item : keyed) out.push_back(std::move(item.second));
  return out;
}

Value run_sort(Interpreter& interpreter, Bound& a) {
  const LetterCase letters = a.truth_or(2, false) ? LetterCase::kKept : LetterCase::kIgnored;
  std::vector<AttributePath> paths;
  if (a.value(3) && a[3].is_text()) {
    std::string_view names = a[3].text();
    for (std::size_t comma = 0; comma != std::string_view::npos; names = names.substr(comma == std::string_view::npos ? 0 : comma + 1)) {
      comma = names.find(',');
      paths.emplace_back(Value(names.substr(0, comma)), letters);
    }
  } else {
    paths.emplace_back(a.value(3), letters);
  }
  std::vector<Keyed> keyed;
  for (Value& item : items_of(a[0])) {
    std::vector<Value> keys;
    for (const AttributePath& path : paths) keys.push_back(path.of(interpreter, item));
    keyed.emplace_back(std::move(keys), std::move(item));
  }
  return make_list(sorted(interpreter, std::move(keyed), a.truth_or(1, false)));
}

Value run_dictsort(Interpreter& interpreter, Bound& a) {
  if (!a[0].is_dict()) throw Fault("gives the filter 'dictsort' a " + a[0].type_name() + ", which must be a dict");
  const std::string by = a.text_or(2, "key");
  if (by != "key" && by != "value") throw Fault("sorts a dict by '" + by + "'; by: key or value");
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : a[0].dict().entries()) {
    const Value& of = by == "key" ? key : value;
    keyed.emplace_back(std::vector<Value>{a.truth_or(1, false) ? of : lower_case(of)}, make_list({key, value}, List::Kind::kTuple));
  }
  return make_list(sorted(interpreter, std::move(keyed), a.truth_or(3, false)));
}

Value run_unique(Interpreter& interpreter, Bound& a) {
  const AttributePath path(a.value(2), a.truth_or(1, false) ? LetterCase::kKept : LetterCase::kIgnored);
  Dict seen;
  std::vector<Value> kept;
  for (Value& item : items_of(a[0])) {
    Value key = path.of(interpreter, item);
    if (seen.find(key) != nullptr) continue;
    seen.set(std::move(key), true);
    kept.push_back(std::move(item));
  }
  return interpreter.generator(std::move(kept));
}

enum class Extreme { kLeast, kGreatest };

template <Extreme extreme>
Value run_extreme(Interpreter& interpreter, Bound& a) {
  const AttributePath path(a.value(2), a.truth_or(1, false) ? LetterCase::kKept : LetterCase::kIgnored);
  const std::vector<Value> items = items_of(a[0]);
  if (items.empty()) return Value::undefined("uses the least or greatest item of an empty sequence");
  std::size_t best = 0;
  Value best_key = path.of(interpreter, items[0]);
  for (std::size_t i = 1; i < items.size(); ++i) {
    Value key = path.of(interpreter, items[i]);
    if (extreme == Extreme::kLeast ? !less(key, best_key) : !less(best_key, key)) continue;
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

Value run_sum(Interpreter& interpreter, Bound& a) {
  const AttributePath path(a.value(1), LetterCase::kKept);
  Value sum = a.has(2) ? a[2] : Value(0);
  for (const Value& item : items_of(a[0])) sum = binary("+", sum, path.of(interpreter, item), interpreter.budget());
  return sum;
}

Value run_items(Interpreter& interpreter, Bound& a) {
  if (!a[0].is_dict() && !a[0].is_undefined()) throw Fault("gives the filter 'items' a " + a[0].type_name() + ", which must be a dict");
  std::vector<Value> pairs;
  if (a[0].is_dict()) {
    for (const auto& [key, value] : a[0].dict().entries()) pairs.push_back(make_list({key, value}, List::Kind::kTuple));
  }
  return interpreter.generator(std::move(pairs));
}

constexpr Builtin kFilters[] = {
    {"length", "obj", run_length},
    {"count", "obj", run_length},
    {"list", "value", run_list},
    {"first", "seq", run_first},
    {"last", "seq", run_last},
    {"reverse", "value", run_reverse},
    {"join", "value d? attribute?", run_join},
    {"sort", "value reverse? case_sensitive? attribute?", run_sort},
    {"dictsort", "value case_sensitive? by? reverse?", run_dictsort},
    {"unique", "value case_sensitive? attribute?", run_unique},
    {"min", "value case_sensitive? attribute?", run_extreme<Extreme::kLeast>},
    {"max", "value case_sensitive? attribute?", run_extreme<Extreme::kGreatest>},
    {"sum", "iterable attribute? start?", run_sum},
    {"items", "value", run_items},
};

}  // namespace

std::span<const Builtin> sequence_filters() { return kFilters; }

}  // namespace sluice::text::jinja
