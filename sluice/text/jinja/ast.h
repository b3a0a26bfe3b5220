// A parsed template.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sluice/text/jinja/value.h"

namespace sluice::text::jinja {

struct Expression;
using Expr = std::unique_ptr<Expression>;

struct CallArguments {
  std::vector<Expr> positional;
  std::vector<std::pair<std::string, Expr>> named;
  Expr star, double_star;  // *list and **dict; may be null
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct Sequence {
  List::Kind kind;
  std::vector<Expr> items;
};
struct DictDisplay {
  std::vector<std::pair<Expr, Expr>> entries;
};
struct Unary {
  char op;
  Expr operand;
};  // '-', '+' or '!' for not
struct Binary {
  std::string op;
  Expr left, right;
};
struct And {
  Expr left, right;
};
struct Or {
  Expr left, right;
};
struct Concat {
  std::vector<Expr> parts;
};
struct Comparison {
  Expr first;
  std::vector<std::pair<std::string, Expr>> rest;
};  // "==", "<", "in", "not in" ...
struct Conditional {
  Expr test, then, otherwise;
};  // without else: undefined
struct Attribute {
  Expr object;
  std::string name;
};
struct Item {
  Expr object, index;
};
struct Slice {
  Expr object, begin, end, step;
};  // the last three may be null
struct Call {
  Expr callee;
  CallArguments arguments;
};
struct Filter {
  Expr operand;
  std::string name;
  CallArguments arguments;
};
struct Test {
  Expr operand;
  std::string name;
  CallArguments arguments;
};

struct Expression {
  int line = 0;
  std::variant<Literal, Name, Sequence, DictDisplay, Unary, Binary, And, Or, Concat, Comparison, Conditional, Attribute, Item, Slice, Call,
               Filter, Test>
      node;
};

// What is assigned to: a name, an attribute of a namespace, or several at once.
struct Target {
  std::string name, attribute;  // attribute is empty for a plain name
  std::vector<Target> parts;    // not empty: the others are not used
};

struct Statement;
using Block = std::vector<Statement>;

struct Parameter {
  std::string name;
  Expr fallback;  // null for one that has none
};

// A macro, and the body that {% call %} passes to one.
struct MacroDefinition {
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
  // Which of `varargs`, `kwargs` and `caller` the body names: a macro takes more arguments, or a {% call %}, only where it does.
  struct Extras {
    bool varargs = false, kwargs = false, caller = false;
  } extras;
};

// A filter without its operand, for {% filter %} and {% set x | f %}.
struct FilterStep {
  int line;
  std::string name;
  CallArguments arguments;
};

struct Data {
  std::string text;
};
struct Print {
  Expr value;
};
struct If {
  std::vector<std::pair<Expr, Block>> branches;
  Block otherwise;
};
struct For {
  Target target;
  Expr items, filter;  // filter may be null
  bool recursive = false;
  Block body, otherwise;
};
struct Set {
  Target target;
  Expr value;
};
struct SetBlock {
  Target target;
  std::vector<FilterStep> filters;
  Block body;
};
struct With {
  std::vector<std::pair<Target, Expr>> values;
  Block body;
};
struct CallBlock {
  Expr call;
  MacroDefinition caller;
};
struct FilterBlock {
  std::vector<FilterStep> filters;
  Block body;
};
struct Generation {
  Block body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line = 0;
  std::variant<Data, Print, If, For, Set, SetBlock, With, std::unique_ptr<MacroDefinition>, CallBlock, FilterBlock, Generation, Break,
               Continue>
      node;
};

}  // namespace sluice::text::jinja
