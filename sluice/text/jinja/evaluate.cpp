// Expressions.
#include "sluice/base/nearest.h"
#include "sluice/text/jinja/interpreter.h"
#include "sluice/text/jinja/objects.h"
#include "sluice/text/jinja/operators.h"
#include "sluice/text/jinja/print.h"

namespace sluice::text::jinja {
namespace {

// Methods that Python has and that are not here: asking for one is an error, not an attribute that is missing.
bool is_left_out(const Value& value, std::string_view name) {
  constexpr std::string_view kText[] = {"casefold",  "encode",      "expandtabs", "format_map", "isascii",  "isdecimal", "isidentifier",
                                        "isnumeric", "isprintable", "istitle",    "maketrans",  "swapcase", "translate"};
  constexpr std::string_view kDict[] = {"fromkeys"};
  const std::span<const std::string_view> names = value.is_text()   ? std::span(kText)
                                                  : value.is_dict() ? std::span(kDict)
                                                                    : std::span<const std::string_view>();
  return std::ranges::find(names, name) != names.end();
}

// Methods that change what they are of, which the environment of chat templates refuses.
bool changes_value(const Value& value, std::string_view name) {
  constexpr std::string_view kList[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
  constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  const bool is_list = value.is_list() && value.list().kind == List::Kind::kList;
  const std::span<const std::string_view> names = is_list           ? std::span(kList)
                                                  : value.is_dict() ? std::span(kDict)
                                                                    : std::span<const std::string_view>();
  return std::ranges::find(names, name) != names.end();
}

// Of a filter or method that looks at all of it.
std::uint64_t work_of(const Value& value) { return value.is_text() ? 1 + value.text().size() / 8 : 1 + value.weight(); }

Value missing(const Value& object, const std::string& name) {
  return Value::undefined("uses '" + name + "' of a " + object.type_name() + ", which has none");
}

}  // namespace

Value Interpreter::evaluate(const Expr& expression) {
  const Budget::Level level(budget_);
  budget_.charge(1);
  line_ = expression->line;
  return std::visit([&](const auto& node) { return value_of(node); }, expression->node);
}

Value Interpreter::value_of(const Name& node) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    if (const auto found = scope->values.find(node.name); found != scope->values.end()) return found->second;
  }
  return Value::undefined("uses '" + node.name + "', which is not defined");
}

Value Interpreter::value_of(const Sequence& node) {
  std::vector<Value> items;
  for (const Expr& item : node.items) items.push_back(evaluate(item));
  return make_list(std::move(items), node.kind);
}

Value Interpreter::value_of(const DictDisplay& node) {
  Dict dict;
  for (const auto& [key, value] : node.entries) {
    Value evaluated = evaluate(key);
    dict.set(std::move(evaluated), evaluate(value));
  }
  return make_dict(std::move(dict));
}

Value Interpreter::value_of(const Unary& node) {
  const Value operand = evaluate(node.operand);
  return node.op == '!' ? Value(!operand.truth()) : signed_value(node.op, operand);
}

Value Interpreter::value_of(const Binary& node) {
  const Value left = evaluate(node.left);
  return binary(node.op, left, evaluate(node.right), budget_);
}

Value Interpreter::value_of(const And& node) {
  Value left = evaluate(node.left);
  return left.truth() ? evaluate(node.right) : left;
}

Value Interpreter::value_of(const Or& node) {
  Value left = evaluate(node.left);
  return left.truth() ? left : evaluate(node.right);
}

Value Interpreter::value_of(const Concat& node) {
  std::string text;
  for (const Expr& part : node.parts) {
    const Value value = evaluate(part);
    budget_.charge(value.weight());
    text += to_text(value);
    budget_.charge_text(text.size());
  }
  return text;
}

Value Interpreter::value_of(const Comparison& node) {
  Value left = evaluate(node.first);
  for (const auto& [op, operand] : node.rest) {
    Value right = evaluate(operand);
    if (!compare(op, left, right, budget_)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::value_of(const Conditional& node) {
  if (evaluate(node.test).truth()) return evaluate(node.then);
  return node.otherwise ? evaluate(node.otherwise) : Value::undefined("uses an inline `if` that is false and has no `else`");
}

Value Interpreter::value_of(const Attribute& node) { return attribute(evaluate(node.object), node.name); }

Value Interpreter::value_of(const Item& node) {
  const Value object = evaluate(node.object);
  return item(object, evaluate(node.index));
}

Value Interpreter::value_of(const Slice& node) {
  const Value object = evaluate(node.object);
  const auto bound = [&](const Expr& expression) { return expression ? evaluate(expression) : Value(); };
  const Value begin = bound(node.begin), end = bound(node.end);
  return slice_of(object, begin, end, bound(node.step), budget_);
}

// Attributes before items, as `.` has it.
Value Interpreter::attribute(const Value& object, const std::string& name) {
  if (object.is_undefined()) throw Fault(object.undefined_reason());
  if (const Builtin* method = find_method(object, name)) return own(std::make_unique<Function>(*method, object));
  if (is_left_out(object, name)) throw Fault("uses ." + name + " of a " + object.type_name() + ", which is not supported");
  if (changes_value(object, name))
    return Value::undefined("uses ." + name + " of a " + object.type_name() + ", which a chat template may not change");
  if (const Object* found = object.object()) {
    if (auto value = found->attribute(name)) return *value;
    if (const Builtin* method = find_object_method(*found, name)) return own(std::make_unique<Function>(*method, object));
    return missing(object, name);
  }
  if (object.is_list() && object.list().is_group && (name == "grouper" || name == "list")) return object.list().items[name == "list" ? 1 : 0];
  const Value* entry = object.is_dict() ? object.dict().find_text(name) : nullptr;
  return entry == nullptr ? missing(object, name) : *entry;
}

// Items before attributes, as `[...]` has it.
Value Interpreter::item(const Value& object, const Value& index) {
  if (object.is_undefined()) throw Fault(object.undefined_reason());
  budget_.charge(index.weight());
  if (auto found = item_of(object, index)) return *found;
  if (index.is_text()) return attribute(object, index.text());
  return missing(object, to_repr(index));
}

Arguments Interpreter::arguments_of(const CallArguments& given) {
  Arguments arguments;
  for (const Expr& argument : given.positional) arguments.positional.push_back(evaluate(argument));
  for (const auto& [name, argument] : given.named) arguments.named.emplace_back(name, evaluate(argument));
  if (given.star) {
    for (Value& item : items_of(evaluate(given.star))) arguments.positional.push_back(std::move(item));
  }
  if (given.double_star) {
    const Value named = evaluate(given.double_star);
    if (!named.is_dict()) throw Fault("gives a call a " + named.type_name() + " as **, which must be a dict");
    for (const auto& [name, value] : named.dict().entries()) {
      if (!name.is_text()) throw Fault("gives a call ** with a key that is no string");
      arguments.named.emplace_back(name.text(), value);
    }
  }
  budget_.charge(arguments.positional.size() + arguments.named.size());
  return arguments;
}

Value Interpreter::call(const Value& callee, Arguments arguments) {
  if (callee.is_undefined()) throw Fault(callee.undefined_reason());
  Object* object = callee.object();
  if (object == nullptr || !object->callable()) throw Fault("calls a " + callee.type_name() + ", which is no function");
  return object->call(*this, arguments);
}

// A method is called without being made a value first.
Value Interpreter::value_of(const Call& node) {
  if (const auto* callee = std::get_if<Attribute>(&node.callee->node)) {
    const Value object = evaluate(callee->object);
    if (const Builtin* method = find_method(object, callee->name)) {
      Arguments arguments = arguments_of(node.arguments);
      arguments.positional.insert(arguments.positional.begin(), object);
      Bound bound("method '" + callee->name + "'", method->parameters, std::move(arguments));
      budget_.charge(work_of(object));
      return method->run(*this, bound);
    }
    const Value callable = attribute(object, callee->name);
    return call(callable, arguments_of(node.arguments));
  }
  const Value callee = evaluate(node.callee);
  return call(callee, arguments_of(node.arguments));
}

Value Interpreter::apply_filter(const std::string& name, Value operand, Arguments arguments) {
  const Builtin* filter = find_filter(name);
  if (filter == nullptr) {
    throw Fault("uses the filter '" + name + "', which is not supported (did you mean " + nearest(name, filter_names()) + "?)");
  }
  budget_.charge(work_of(operand));
  arguments.positional.insert(arguments.positional.begin(), std::move(operand));
  Bound bound("filter '" + name + "'", filter->parameters, std::move(arguments));
  return filter->run(*this, bound);
}

bool Interpreter::apply_test(const std::string& name, Value operand, Arguments arguments) {
  const Builtin* test = find_builtin(tests(), name);
  if (test == nullptr) throw Fault("uses the test '" + name + "', which is not supported");
  budget_.charge(1);
  arguments.positional.insert(arguments.positional.begin(), std::move(operand));
  Bound bound("test '" + name + "'", test->parameters, std::move(arguments));
  return test->run(*this, bound).truth();
}

Value Interpreter::value_of(const Filter& node) {
  Value operand = evaluate(node.operand);
  return apply_filter(node.name, std::move(operand), arguments_of(node.arguments));
}

Value Interpreter::value_of(const Test& node) {
  Value operand = evaluate(node.operand);
  return apply_test(node.name, std::move(operand), arguments_of(node.arguments));
}

}  // namespace sluice::text::jinja
