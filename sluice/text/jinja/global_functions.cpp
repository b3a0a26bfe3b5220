// The functions that a chat template finds: Jinja's range, dict, namespace, cycler and joiner, and Hugging Face's raise_exception and
// strftime_now.
#include <ctime>

#include "sluice/text/jinja/interpreter.h"
#include "sluice/text/jinja/objects.h"
#include "sluice/text/jinja/print.h"
#include "sluice/text/jinja/template.h"

namespace sluice::text::jinja {
namespace {

constexpr std::uint64_t kMaxRange = 100'000;  // as in Jinja's sandbox

Value run_range(Interpreter& interpreter, Bound& a) {
  const std::int64_t begin = a.has(1) ? a.integer(0) : 0, end = a.has(1) ? a.integer(1) : a.integer(0), step = a.integer_or(2, 1);
  if (step == 0) throw Fault("makes a range with step 0");
  std::vector<Value> items;
  for (std::int64_t at = begin; step > 0 ? at < end : at > end;) {
    if (items.size() == kMaxRange) throw Fault("makes a range longer than the limit of " + std::to_string(kMaxRange));
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  interpreter.budget().charge(items.size());
  return make_list(std::move(items), List::Kind::kRange);
}

// Of a dict or pairs, and of names.
Dict dict_of(Interpreter& interpreter, Bound& a) {
  Dict dict;
  if (a.rest().positional.size() > 1) throw Fault("makes a dict of more than one value");
  if (!a.rest().positional.empty()) {
    const Value& from = a.rest().positional[0];
    interpreter.budget().charge(from.weight());
    if (from.is_dict())
      dict = from.dict();
    else {
      for (const Value& pair : items_of(from)) {
        std::vector<Value> entry = items_of(pair);
        if (entry.size() != 2) throw Fault("makes a dict of items that are not pairs");
        dict.set(std::move(entry[0]), std::move(entry[1]));
      }
    }
  }
  for (auto& [name, value] : a.rest().named) dict.set(name, std::move(value));
  return dict;
}

Value run_dict(Interpreter& interpreter, Bound& a) { return make_dict(dict_of(interpreter, a)); }

Value run_namespace(Interpreter& interpreter, Bound& a) {
  auto space = std::make_unique<Namespace>();
  const Dict dict = dict_of(interpreter, a);
  for (const auto& [name, value] : dict.entries()) space->set(to_text(name), value);
  return interpreter.own(std::move(space));
}

Value run_raise_exception(Interpreter&, Bound& a) { throw Refusal(to_text(a[0])); }

Value run_strftime_now(Interpreter&, Bound& a) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  const std::string form = a.text(0);
  std::string text(form.size() * 32 + 64, '\0');
  const std::size_t length = std::strftime(text.data(), text.size(), form.c_str(), &local);
  if (length == 0 && !form.empty()) throw Fault("writes the date by '" + form + "', which gives no text");
  text.resize(length);
  return text;
}

Value run_cycler(Interpreter& interpreter, Bound& a) { return make_cycler(interpreter, std::move(a.rest().positional)); }
Value run_joiner(Interpreter& interpreter, Bound& a) { return make_joiner(interpreter, a.text_or(0, ", ")); }

constexpr Builtin kFunctions[] = {
    {"range", "start stop? step?", run_range},
    {"dict", "* **", run_dict},
    {"namespace", "* **", run_namespace},
    {"raise_exception", "message", run_raise_exception},
    {"strftime_now", "format", run_strftime_now},
    {"cycler", "*", run_cycler},
    {"joiner", "sep?", run_joiner},
};

}  // namespace

std::span<const Builtin> global_functions() { return kFunctions; }

}  // namespace sluice::text::jinja
