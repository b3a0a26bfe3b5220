// Runs a parsed template.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sluice/text/jinja/ast.h"
#include "sluice/text/jinja/builtin.h"

namespace sluice::text::jinja {

// Names and their values. A block that has names of its own (a loop's body, a macro) sees those around it.
struct Scope {
  Scope* parent = nullptr;
  bool kept = false;  // a macro defined in it may still be called when the block is over
  std::unordered_map<std::string, Value> values;
};

// Bytes of the output.
struct Span {
  std::size_t begin, end;
};

// One rendering. Owns all objects and scopes that values refer to.
class Interpreter {
 public:
  explicit Interpreter(Dict variables);
  ~Interpreter();

  void run(const Block& block);

  std::string output;
  std::vector<Span> generations;     // what {% generation %} blocks printed
  bool generation_captured = false;  // one of them stood in a macro or a block whose text was caught, so its place is not known

  int line() const { return line_; }  // of what is being evaluated
  Budget& budget() { return budget_; }

  // What builtins need of it.
  Value call(const Value& callee, Arguments arguments);
  Value apply_filter(const std::string& name, Value operand, Arguments arguments);
  bool apply_test(const std::string& name, Value operand, Arguments arguments);
  Value attribute(const Value& object, const std::string& name);
  Value item(const Value& object, const Value& index);
  Value own(std::unique_ptr<Object> object);
  Value generator(std::vector<Value> items);  // an iterator: true, without a length, used up by the first who goes over it

  Value run_macro(const MacroDefinition& macro, Scope& defined_in, const Arguments& arguments);
  std::string run_loop(const For& node, Scope& scope, const Value& items, std::int64_t depth);

 private:
  enum class Flow { kOn, kBreak, kContinue };
  class Within;
  class Captured;
  class MacroObject;

  Flow execute(const Block& block);
  Flow execute(const Statement& statement);
  Flow run_node(const Data& node);
  Flow run_node(const Print& node);
  Flow run_node(const If& node);
  Flow run_node(const For& node);
  Flow run_node(const Set& node);
  Flow run_node(const SetBlock& node);
  Flow run_node(const With& node);
  Flow run_node(const std::unique_ptr<MacroDefinition>& node);
  Flow run_node(const CallBlock& node);
  Flow run_node(const FilterBlock& node);
  Flow run_node(const Generation& node);
  Flow run_node(const Break&) { return Flow::kBreak; }
  Flow run_node(const Continue&) { return Flow::kContinue; }
  void loop_over(const For& node, const Value& items, std::int64_t depth);
  std::vector<Value> kept_items(const For& node, std::vector<Value> items);
  void print(std::string_view text);
  std::string captured(const Block& block);
  Value filtered(const std::vector<FilterStep>& steps, Value value);
  void assign(const Target& target, Value value);
  Value macro_object(const MacroDefinition& definition);

  Value evaluate(const Expr& expression);
  Value value_of(const Literal& node) { return node.value; }
  Value value_of(const Name& node);
  Value value_of(const Sequence& node);
  Value value_of(const DictDisplay& node);
  Value value_of(const Unary& node);
  Value value_of(const Binary& node);
  Value value_of(const And& node);
  Value value_of(const Or& node);
  Value value_of(const Concat& node);
  Value value_of(const Comparison& node);
  Value value_of(const Conditional& node);
  Value value_of(const Attribute& node);
  Value value_of(const Item& node);
  Value value_of(const Slice& node);
  Value value_of(const Call& node);
  Value value_of(const Filter& node);
  Value value_of(const Test& node);
  Arguments arguments_of(const CallArguments& arguments);

  Budget budget_;
  int line_ = 1;
  std::size_t captures_ = 0;
  Scope globals_, root_;
  Scope* scope_ = &root_;
  std::vector<std::unique_ptr<Scope>> kept_scopes_;
  std::vector<std::unique_ptr<Object>> objects_;
};

}  // namespace sluice::text::jinja
