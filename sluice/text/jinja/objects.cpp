#include "sluice/text/jinja/objects.h"

#include "sluice/text/jinja/interpreter.h"

namespace sluice::text::jinja {
namespace {

// cycler(a, b, ...): its next() gives them in turn.
class Cycler final : public Object {
 public:
  explicit Cycler(std::vector<Value> values) : values_(std::move(values)) {}
  std::string type_name() const override { return "cycler"; }
  std::optional<Value> attribute(const std::string& name) const override {
    return name == "current" ? std::optional(values_[at_]) : std::nullopt;
  }
  Value next() {
    const Value value = values_[at_];
    at_ = (at_ + 1) % values_.size();
    return value;
  }
  void reset() { at_ = 0; }

 private:
  std::vector<Value> values_;
  std::size_t at_ = 0;
};

// joiner(separator): nothing the first time it is called, then the separator.
class Joiner final : public Object {
 public:
  explicit Joiner(std::string separator) : separator_(std::move(separator)) {}
  std::string type_name() const override { return "joiner"; }
  bool callable() const override { return true; }
  Value call(Interpreter&, const Arguments&) override { return std::exchange(used_, true) ? Value(separator_) : Value(""); }

 private:
  std::string separator_;
  bool used_ = false;
};

template <class Kind>
Kind& self(const Bound& arguments) {
  return dynamic_cast<Kind&>(*arguments[0].object());
}

constexpr Builtin kLoopMethods[] = {
    {"cycle", "loop *", [](Interpreter&, Bound& a) { return self<Loop>(a).cycle(a.rest().positional); }},
    {"changed", "loop value", [](Interpreter&, Bound& a) { return Value(self<Loop>(a).changed(a[1])); }},
};

constexpr Builtin kCyclerMethods[] = {
    {"next", "cycler", [](Interpreter&, Bound& a) { return self<Cycler>(a).next(); }},
    {"reset", "cycler",
     [](Interpreter&, Bound& a) {
       self<Cycler>(a).reset();
       return Value();
     }},
};

}  // namespace

const Builtin* find_object_method(const Object& object, std::string_view name) {
  if (dynamic_cast<const Loop*>(&object) != nullptr) return find_builtin(kLoopMethods, name);
  if (dynamic_cast<const Cycler*>(&object) != nullptr) return find_builtin(kCyclerMethods, name);
  return nullptr;
}

std::optional<Value> Namespace::attribute(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::nullopt : std::optional(found->second);
}

void Namespace::set(const std::string& name, Value value) {
  if (name.starts_with('_')) throw Fault("sets '" + name + "' of a namespace, where no name may begin with '_'");
  values_.insert_or_assign(name, std::move(value));
}

std::optional<std::vector<Value>> Generator::take_items() {
  std::vector<Value> left(std::move_iterator(items_.begin() + static_cast<std::ptrdiff_t>(taken_)), std::move_iterator(items_.end()));
  items_ = {};
  taken_ = 0;
  return left;
}

std::optional<Value> Generator::take_one() { return taken_ < items_.size() ? std::optional(items_[taken_++]) : std::nullopt; }

Value Function::call(Interpreter& interpreter, const Arguments& arguments) {
  Arguments all = arguments;
  if (self_) all.positional.insert(all.positional.begin(), *self_);
  Bound bound("function '" + std::string(builtin_.name) + "'", builtin_.parameters, std::move(all));
  return builtin_.run(interpreter, bound);
}

std::optional<Value> Loop::attribute(const std::string& name) const {
  const auto index = static_cast<std::int64_t>(index_), length = static_cast<std::int64_t>(length_);
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return length - index;
  if (name == "revindex0") return length - index - 1;
  if (name == "first") return index == 0;
  if (name == "last") return index == length - 1;
  if (name == "length") return length;
  if (name == "depth") return depth_;
  if (name == "depth0") return depth_ - 1;
  if (name == "previtem")
    return index > 0 && !items_.empty() ? items_[index_ - 1] : Value::undefined("uses loop.previtem where there is none");
  if (name == "nextitem")
    return index + 1 < length && !items_.empty() ? items_[index_ + 1] : Value::undefined("uses loop.nextitem where there is none");
  return std::nullopt;
}

Value Loop::call(Interpreter& interpreter, const Arguments& arguments) {
  if (!node_.recursive) throw Fault("calls the loop of a {% for %} without `recursive`");
  if (arguments.positional.size() != 1 || !arguments.named.empty()) throw Fault("calls a recursive loop with other than one argument");
  return interpreter.run_loop(node_, scope_, arguments.positional[0], depth_ + 1);
}

Value Loop::cycle(const std::vector<Value>& values) const {
  if (values.empty()) throw Fault("calls loop.cycle without values");
  return values[index_ % values.size()];
}

bool Loop::changed(Value value) {
  if (last_ && equal(*last_, value)) return false;
  last_ = std::move(value);
  return true;
}

Value make_cycler(Interpreter& interpreter, std::vector<Value> values) {
  if (values.empty()) throw Fault("calls cycler without values");
  return interpreter.own(std::make_unique<Cycler>(std::move(values)));
}

Value make_joiner(Interpreter& interpreter, std::string separator) {
  return interpreter.own(std::make_unique<Joiner>(std::move(separator)));
}

}  // namespace sluice::text::jinja
