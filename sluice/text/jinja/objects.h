// The objects of a template: namespaces, loops, generators, functions and methods.
#pragma once
#include "sluice/text/jinja/ast.h"
#include "sluice/text/jinja/builtin.h"

namespace sluice::text::jinja {

struct Scope;

// namespace(...): what {% set ns.name = value %} changes.
class Namespace final : public Object {
 public:
  std::string type_name() const override { return "namespace"; }
  std::optional<Value> attribute(const std::string& name) const override;
  // Fault for a name that begins with '_', as in Hugging Face's environment.
  void set(const std::string& name, Value value);

 private:
  std::unordered_map<std::string, Value> values_;
};

// What a filter such as map gives: goes over its items once.
class Generator final : public Object {
 public:
  explicit Generator(std::vector<Value> items) : items_(std::move(items)) {}
  std::string type_name() const override { return "generator"; }
  std::optional<std::vector<Value>> take_items() override;
  std::optional<Value> take_one();  // the next item; nothing at the end

 private:
  std::vector<Value> items_;
  std::size_t taken_ = 0;
};

// A builtin as a value, with the value it is a method of, if it is one.
class Function final : public Object {
 public:
  Function(const Builtin& builtin, std::optional<Value> self) : builtin_(builtin), self_(std::move(self)) {}
  std::string type_name() const override { return "function"; }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, const Arguments& arguments) override;

 private:
  const Builtin& builtin_;
  std::optional<Value> self_;
};

// `loop` inside a for loop.
class Loop final : public Object {
 public:
  Loop(const For& node, Scope& scope, std::vector<Value> items, std::int64_t depth)
      : node_(node), scope_(scope), items_(std::move(items)), length_(items_.size()), depth_(depth) {}
  std::string type_name() const override { return "loop"; }
  std::optional<Value> attribute(const std::string& name) const override;
  bool callable() const override { return node_.recursive; }
  Value call(Interpreter& interpreter, const Arguments& arguments) override;  // goes into the next level of a recursive loop

  const std::vector<Value>& items() const { return items_; }
  void move_to(std::size_t index) { index_ = index; }
  void finish() { items_ = {}; }  // the loop is over: whoever kept it no longer asks for items
  Value cycle(const std::vector<Value>& values) const;
  bool changed(Value value);

 private:
  const For& node_;
  Scope& scope_;
  std::vector<Value> items_;
  std::size_t length_, index_ = 0;
  std::int64_t depth_;
  std::optional<Value> last_;
};

// The method `name` of a loop or a cycler; null when there is none.
const Builtin* find_object_method(const Object& object, std::string_view name);

Value make_cycler(Interpreter& interpreter, std::vector<Value> values);
Value make_joiner(Interpreter& interpreter, std::string separator);

}  // namespace sluice::text::jinja
