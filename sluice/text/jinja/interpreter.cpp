// Statements.
#include "sluice/text/jinja/interpreter.h"

#include "sluice/text/jinja/objects.h"
#include "sluice/text/jinja/print.h"

namespace sluice::text::jinja {

// Held while a block with names of its own runs.
class Interpreter::Within {
 public:
  Within(Interpreter& interpreter, Scope& parent)
      : interpreter_(interpreter), outer_(interpreter.scope_), scope_(std::make_unique<Scope>()) {
    scope_->parent = &parent;
    interpreter_.scope_ = scope_.get();
  }
  explicit Within(Interpreter& interpreter) : Within(interpreter, *interpreter.scope_) {}
  ~Within() {
    interpreter_.scope_ = outer_;
    if (scope_->kept) interpreter_.kept_scopes_.push_back(std::move(scope_));
  }
  Within(const Within&) = delete;
  Within& operator=(const Within&) = delete;

 private:
  Interpreter& interpreter_;
  Scope* outer_;
  std::unique_ptr<Scope> scope_;
};

// Held while what is printed goes into a text rather than to the output.
class Interpreter::Captured {
 public:
  explicit Captured(Interpreter& interpreter) : interpreter_(interpreter), outer_(std::exchange(interpreter.output, {})) {
    ++interpreter_.captures_;
  }
  ~Captured() {
    interpreter_.output = std::move(outer_);
    --interpreter_.captures_;
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  std::string take() { return std::move(interpreter_.output); }

 private:
  Interpreter& interpreter_;
  std::string outer_;
};

class Interpreter::MacroObject final : public Object {
 public:
  MacroObject(const MacroDefinition& definition, Scope& defined_in) : definition_(definition), defined_in_(defined_in) {}
  std::string type_name() const override { return "macro"; }
  bool callable() const override { return true; }
  std::optional<Value> attribute(const std::string& name) const override {
    return name == "name" ? std::optional<Value>(definition_.name) : std::nullopt;
  }
  Value call(Interpreter& interpreter, const Arguments& arguments) override {
    return interpreter.run_macro(definition_, defined_in_, arguments);
  }

 private:
  const MacroDefinition& definition_;
  Scope& defined_in_;
};

Interpreter::Interpreter(Dict variables) {
  for (const Builtin& function : global_functions())
    globals_.values.emplace(function.name, own(std::make_unique<Function>(function, std::nullopt)));
  for (const auto& [name, value] : variables.entries()) globals_.values.insert_or_assign(name.text(), value);
  root_.parent = &globals_;
}

Interpreter::~Interpreter() = default;

void Interpreter::run(const Block& block) { execute(block); }

Value Interpreter::own(std::unique_ptr<Object> object) {
  constexpr std::uint64_t kWorkOfAnObject = 16;
  budget_.charge(kWorkOfAnObject);
  objects_.push_back(std::move(object));
  return objects_.back().get();
}

Value Interpreter::generator(std::vector<Value> items) { return own(std::make_unique<Generator>(std::move(items))); }

void Interpreter::print(std::string_view text) {
  budget_.charge_text(text.size());
  output += text;
}

Interpreter::Flow Interpreter::execute(const Block& block) {
  for (const Statement& statement : block) {
    if (const Flow flow = execute(statement); flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::execute(const Statement& statement) {
  const Budget::Level level(budget_);
  budget_.charge(1);
  line_ = statement.line;
  return std::visit([&](const auto& node) { return run_node(node); }, statement.node);
}

Interpreter::Flow Interpreter::run_node(const Data& node) {
  print(node.text);
  return Flow::kOn;
}

Interpreter::Flow Interpreter::run_node(const Print& node) {
  const Value value = evaluate(node.value);
  budget_.charge(value.weight());
  print(to_text(value));
  return Flow::kOn;
}

Interpreter::Flow Interpreter::run_node(const If& node) {
  for (const auto& [test, body] : node.branches) {
    if (evaluate(test).truth()) return execute(body);
  }
  return execute(node.otherwise);
}

Interpreter::Flow Interpreter::run_node(const For& node) {
  loop_over(node, evaluate(node.items), 1);
  return Flow::kOn;
}

std::vector<Value> Interpreter::kept_items(const For& node, std::vector<Value> items) {
  if (!node.filter) return items;
  std::vector<Value> kept;
  for (Value& item : items) {
    const Within within(*this);
    assign(node.target, item);
    if (evaluate(node.filter).truth()) kept.push_back(std::move(item));
  }
  return kept;
}

void Interpreter::loop_over(const For& node, const Value& value, std::int64_t depth) {
  budget_.charge(value.weight());
  std::vector<Value> items = kept_items(node, items_of(value));
  budget_.charge(items.size());
  if (items.empty()) {
    const Within within(*this);
    execute(node.otherwise);
    return;
  }
  auto made = std::make_unique<Loop>(node, *scope_, std::move(items), depth);
  Loop& loop = *made;
  const Value loop_value = own(std::move(made));
  for (std::size_t i = 0; i < loop.items().size(); ++i) {
    loop.move_to(i);
    const Within within(*this);
    scope_->values.emplace("loop", loop_value);
    assign(node.target, loop.items()[i]);
    if (execute(node.body) == Flow::kBreak) break;
  }
  loop.finish();
}

std::string Interpreter::run_loop(const For& node, Scope& scope, const Value& items, std::int64_t depth) {
  const Budget::Level level(budget_);
  const Within within(*this, scope);
  Captured captured(*this);
  loop_over(node, items, depth);
  return captured.take();
}

Interpreter::Flow Interpreter::run_node(const Set& node) {
  assign(node.target, evaluate(node.value));
  return Flow::kOn;
}

Interpreter::Flow Interpreter::run_node(const SetBlock& node) {
  assign(node.target, filtered(node.filters, captured(node.body)));
  return Flow::kOn;
}

Interpreter::Flow Interpreter::run_node(const With& node) {
  std::vector<Value> values;
  for (const auto& [target, value] : node.values) values.push_back(evaluate(value));
  const Within within(*this);
  for (std::size_t i = 0; i < values.size(); ++i) assign(node.values[i].first, values[i]);
  return execute(node.body);
}

Interpreter::Flow Interpreter::run_node(const std::unique_ptr<MacroDefinition>& node) {
  assign({node->name, "", {}}, macro_object(*node));
  return Flow::kOn;
}

Interpreter::Flow Interpreter::run_node(const CallBlock& node) {
  const auto& call_node = std::get<Call>(node.call->node);
  const Value callee = evaluate(call_node.callee);
  Arguments arguments = arguments_of(call_node.arguments);
  arguments.named.emplace_back("caller", macro_object(node.caller));
  print(to_text(call(callee, std::move(arguments))));
  return Flow::kOn;
}

Interpreter::Flow Interpreter::run_node(const FilterBlock& node) {
  print(to_text(filtered(node.filters, captured(node.body))));
  return Flow::kOn;
}

Interpreter::Flow Interpreter::run_node(const Generation& node) {
  const std::size_t begin = output.size();
  const Within within(*this);
  execute(node.body);
  if (captures_ == 0)
    generations.push_back({begin, output.size()});
  else
    generation_captured = true;
  return Flow::kOn;
}

std::string Interpreter::captured(const Block& block) {
  const Within within(*this);
  Captured captured(*this);
  execute(block);
  return captured.take();
}

Value Interpreter::filtered(const std::vector<FilterStep>& steps, Value value) {
  for (const FilterStep& step : steps) {
    line_ = step.line;
    value = apply_filter(step.name, std::move(value), arguments_of(step.arguments));
  }
  return value;
}

void Interpreter::assign(const Target& target, Value value) {
  if (!target.parts.empty()) {
    const std::vector<Value> items = items_of(value);
    budget_.charge(items.size());
    if (items.size() != target.parts.size()) {
      throw Fault("sets " + std::to_string(target.parts.size()) + " names to the " + std::to_string(items.size()) + " items of a " +
                  value.type_name());
    }
    for (std::size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i]);
  } else if (target.attribute.empty()) {
    scope_->values.insert_or_assign(target.name, std::move(value));
  } else {
    auto* space = dynamic_cast<Namespace*>(value_of(Name{target.name}).object());
    if (space == nullptr) throw Fault("sets an attribute of '" + target.name + "', which is not a namespace");
    space->set(target.attribute, std::move(value));
  }
}

// The scopes around it stay, since it sees their names when it is called.
Value Interpreter::macro_object(const MacroDefinition& definition) {
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) scope->kept = true;
  return own(std::make_unique<MacroObject>(definition, *scope_));
}

Value Interpreter::run_macro(const MacroDefinition& macro, Scope& defined_in, const Arguments& arguments) {
  const Budget::Level level(budget_);
  const Within within(*this, defined_in);
  const std::string name = "macro '" + macro.name + "'";
  Arguments given = arguments;
  Value caller = Value::undefined("uses the caller of a macro that was called without one");
  std::erase_if(given.named, [&](const auto& argument) {
    if (argument.first != "caller") return false;
    if (!macro.extras.caller) throw Fault("gives " + name + " a caller, which it does not use");
    caller = argument.second;
    return true;
  });
  std::string signature;
  for (const Parameter& parameter : macro.parameters) signature += parameter.name + "? ";
  signature += std::string(macro.extras.varargs ? "* " : "") + (macro.extras.kwargs ? "**" : "");
  Bound bound(name, signature, std::move(given));
  if (macro.extras.caller) scope_->values.insert_or_assign("caller", caller);
  if (macro.extras.varargs) scope_->values.insert_or_assign("varargs", make_list(bound.rest().positional, List::Kind::kTuple));
  if (macro.extras.kwargs) {
    Dict named;
    for (auto& [key, value] : bound.rest().named) named.set(key, value);
    scope_->values.insert_or_assign("kwargs", make_dict(std::move(named)));
  }
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    Value value = bound.has(i)         ? bound[i]
                  : parameter.fallback ? evaluate(parameter.fallback)
                                       : Value::undefined("uses the parameter '" + parameter.name + "', which was not given");
    scope_->values.insert_or_assign(parameter.name, std::move(value));
  }
  Captured captured(*this);
  execute(macro.body);
  return captured.take();
}

}  // namespace sluice::text::jinja
