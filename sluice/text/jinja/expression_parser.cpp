#include "sluice/text/jinja/expression_parser.h"

#include <algorithm>
#include <array>

namespace sluice::text::jinja {
namespace {

using Kind = Token::Kind;

constexpr std::size_t kMaxChain = 1000;  // operators, calls, filters ... in one tag: each may nest the tree one deeper

std::string_view compare_operator(const Token& token) {
  constexpr std::array<std::string_view, 6> kOperators = {"==", "!=", "<", "<=", ">", ">="};
  if (token.kind != Kind::kOperator) return "";
  const auto found = std::ranges::find(kOperators, token.text);
  return found == kOperators.end() ? "" : *found;
}

}  // namespace

// Held while what may hold an expression of the same sort again is parsed, so that no source exhausts the stack.
class ExpressionParser::Nesting {
 public:
  explicit Nesting(ExpressionParser& parser) : parser_(parser) {
    if (parser_.nesting_ >= kMaxNesting)
      parser_.tokens_.fail("expressions are nested deeper than the limit of " + std::to_string(kMaxNesting));
    if (parser_.nesting_++ == 0) parser_.chain_ = 0;
  }
  ~Nesting() { --parser_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  ExpressionParser& parser_;
};

Expr ExpressionParser::make(int line, decltype(Expression::node) node) {
  const bool leaf = std::holds_alternative<Literal>(node) || std::holds_alternative<Name>(node) || std::holds_alternative<Sequence>(node) ||
                    std::holds_alternative<DictDisplay>(node);
  if (!leaf && ++chain_ > kMaxChain) tokens_.fail("a tag holds more than the limit of " + std::to_string(kMaxChain) + " operations");
  auto expression = std::make_unique<Expression>();
  expression->line = line;
  expression->node = std::move(node);
  return expression;
}

Expr ExpressionParser::tuple(std::string_view end) { return tuple_of(&ExpressionParser::conditional, end); }
Expr ExpressionParser::tuple_without_if(std::string_view end) { return tuple_of(&ExpressionParser::either, end); }

bool ExpressionParser::at_tuple_end(std::string_view end) const {
  return tokens_.at(Kind::kPrintEnd) || tokens_.at(Kind::kBlockEnd) || tokens_.at_operator(")") || (!end.empty() && tokens_.at_name(end));
}

Expr ExpressionParser::tuple_of(Parse part, std::string_view end) {
  const Nesting nesting(*this);
  const int line = tokens_.line();
  Expr first = (this->*part)();
  if (!tokens_.at_operator(",")) return first;
  Sequence tuple{List::Kind::kTuple, {}};
  tuple.items.push_back(std::move(first));
  while (tokens_.skip_operator(",") && !at_tuple_end(end)) tuple.items.push_back((this->*part)());
  return make(line, std::move(tuple));
}

Expr ExpressionParser::conditional() {
  const Nesting nesting(*this);
  Expr expression = either();
  while (tokens_.at_name("if")) {
    const int line = tokens_.next().line;
    Expr test = either();
    Expr otherwise = tokens_.skip_name("else") ? conditional() : nullptr;
    expression = make(line, Conditional{std::move(test), std::move(expression), std::move(otherwise)});
  }
  return expression;
}

Expr ExpressionParser::either() {
  Expr left = both();
  while (tokens_.at_name("or")) {
    const int line = tokens_.next().line;
    left = make(line, Or{std::move(left), both()});
  }
  return left;
}

Expr ExpressionParser::both() {
  Expr left = negation();
  while (tokens_.at_name("and")) {
    const int line = tokens_.next().line;
    left = make(line, And{std::move(left), negation()});
  }
  return left;
}

Expr ExpressionParser::negation() {
  if (!tokens_.at_name("not")) return comparison();
  const Nesting nesting(*this);
  const int line = tokens_.next().line;
  return make(line, Unary{'!', negation()});
}

Expr ExpressionParser::comparison() {
  const int line = tokens_.line();
  Expr first = sum();
  std::vector<std::pair<std::string, Expr>> rest;
  for (;;) {
    std::string op(compare_operator(tokens_.current()));
    if (!op.empty()) {
      tokens_.next();
    } else if (tokens_.skip_name("in")) {
      op = "in";
    } else if (tokens_.at_name("not") && tokens_.ahead().kind == Kind::kName && tokens_.ahead().text == "in") {
      tokens_.next();
      tokens_.next();
      op = "not in";
    } else {
      break;
    }
    rest.emplace_back(op, sum());
  }
  return rest.empty() ? std::move(first) : make(line, Comparison{std::move(first), std::move(rest)});
}

Expr ExpressionParser::sum() {
  Expr left = concat();
  while (tokens_.at_operator("+") || tokens_.at_operator("-")) {
    const Token op = tokens_.next();
    left = make(op.line, Binary{op.text, std::move(left), concat()});
  }
  return left;
}

Expr ExpressionParser::concat() {
  const int line = tokens_.line();
  Expr first = product();
  if (!tokens_.at_operator("~")) return first;
  Concat concat;
  concat.parts.push_back(std::move(first));
  while (tokens_.skip_operator("~")) concat.parts.push_back(product());
  return make(line, std::move(concat));
}

Expr ExpressionParser::product() {
  Expr left = power();
  while (tokens_.at_operator("*") || tokens_.at_operator("/") || tokens_.at_operator("//") || tokens_.at_operator("%")) {
    const Token op = tokens_.next();
    left = make(op.line, Binary{op.text, std::move(left), power()});
  }
  return left;
}

// Left to right, unlike Python's.
Expr ExpressionParser::power() {
  Expr left = unary();
  while (tokens_.at_operator("**")) {
    const int line = tokens_.next().line;
    left = make(line, Binary{"**", std::move(left), unary()});
  }
  return left;
}

Expr ExpressionParser::unary() { return with_filters(unary_without_filters()); }

// A filter after a sign is of the whole: -1 | abs is (-1) | abs.
Expr ExpressionParser::unary_without_filters() {
  if (!tokens_.at_operator("-") && !tokens_.at_operator("+")) return with_postfixes(primary());
  const Nesting nesting(*this);
  const Token sign = tokens_.next();
  return with_postfixes(make(sign.line, Unary{sign.text[0], unary_without_filters()}));
}

Expr ExpressionParser::primary() {
  const Token token = tokens_.current();
  switch (token.kind) {
    case Kind::kName:
      tokens_.next();
      if (token.text == "true" || token.text == "True") return make(token.line, Literal{Value(true)});
      if (token.text == "false" || token.text == "False") return make(token.line, Literal{Value(false)});
      if (token.text == "none" || token.text == "None") return make(token.line, Literal{Value()});
      extras.varargs |= token.text == "varargs";
      extras.kwargs |= token.text == "kwargs";
      extras.caller |= token.text == "caller";
      return make(token.line, Name{token.text});
    case Kind::kString: {
      std::string text;
      while (tokens_.at(Kind::kString)) text += tokens_.next().text;
      return make(token.line, Literal{Value(std::move(text))});
    }
    case Kind::kInteger:
      tokens_.next();
      return make(token.line, Literal{Value(token.integer)});
    case Kind::kFloat:
      tokens_.next();
      return make(token.line, Literal{Value(token.real)});
    default:
      break;
  }
  if (tokens_.at_operator("(")) return parenthesized();
  if (tokens_.at_operator("[")) return list();
  if (tokens_.at_operator("{")) return dict();
  tokens_.fail_expected("an expression");
}

Expr ExpressionParser::parenthesized() {
  const int line = tokens_.next().line;
  Expr inside = tokens_.at_operator(")") ? make(line, Sequence{List::Kind::kTuple, {}}) : tuple();
  tokens_.expect_operator(")");
  return inside;
}

Expr ExpressionParser::list() {
  const int line = tokens_.next().line;
  Sequence list{List::Kind::kList, {}};
  while (!tokens_.at_operator("]")) {
    if (!list.items.empty()) tokens_.expect_operator(",");
    if (tokens_.at_operator("]")) break;
    list.items.push_back(conditional());
  }
  tokens_.expect_operator("]");
  return make(line, std::move(list));
}

Expr ExpressionParser::dict() {
  const int line = tokens_.next().line;
  DictDisplay dict;
  while (!tokens_.at_operator("}")) {
    if (!dict.entries.empty()) tokens_.expect_operator(",");
    if (tokens_.at_operator("}")) break;
    Expr key = conditional();
    tokens_.expect_operator(":");
    dict.entries.emplace_back(std::move(key), conditional());
  }
  tokens_.expect_operator("}");
  return make(line, std::move(dict));
}

Expr ExpressionParser::with_postfixes(Expr expression) {
  for (;;) {
    const int line = tokens_.line();
    if (tokens_.at_operator(".")) {
      expression = attribute(std::move(expression));
    } else if (tokens_.at_operator("[")) {
      expression = subscript(std::move(expression));
    } else if (tokens_.at_operator("(")) {
      expression = make(line, Call{std::move(expression), call_arguments()});
    } else {
      return expression;
    }
  }
}

Expr ExpressionParser::with_filters(Expr expression) {
  for (;;) {
    const int line = tokens_.line();
    if (tokens_.at_operator("|")) {
      FilterStep step = filter_step();
      expression = make(line, Filter{std::move(expression), std::move(step.name), std::move(step.arguments)});
    } else if (tokens_.at_name("is")) {
      expression = test(std::move(expression));
    } else if (tokens_.at_operator("(")) {
      expression = make(line, Call{std::move(expression), call_arguments()});
    } else {
      return expression;
    }
  }
}

Expr ExpressionParser::attribute(Expr object) {
  const int line = tokens_.next().line;
  if (tokens_.at(Kind::kInteger)) {
    Expr index = make(line, Literal{Value(tokens_.next().integer)});
    return make(line, Item{std::move(object), std::move(index)});
  }
  return make(line, Attribute{std::move(object), tokens_.take_name()});
}

Expr ExpressionParser::subscript(Expr object) {
  const int line = tokens_.next().line;
  const auto part = [&]() -> Expr { return tokens_.at_operator(":") || tokens_.at_operator("]") ? nullptr : conditional(); };
  Expr begin = part();
  if (!tokens_.at_operator(":")) {
    if (!begin) tokens_.fail_expected("an index");
    if (tokens_.at_operator(",")) tokens_.fail("an index of several values is not supported");
    tokens_.expect_operator("]");
    return make(line, Item{std::move(object), std::move(begin)});
  }
  tokens_.expect_operator(":");
  Expr end = part(), step = tokens_.skip_operator(":") ? part() : nullptr;
  tokens_.expect_operator("]");
  return make(line, Slice{std::move(object), std::move(begin), std::move(end), std::move(step)});
}

std::string ExpressionParser::dotted_name() {
  std::string name = tokens_.take_name();
  while (tokens_.skip_operator(".")) name += "." + tokens_.take_name();
  return name;
}

FilterStep ExpressionParser::filter_step() {
  tokens_.skip_operator("|");
  const int line = tokens_.line();
  std::string name = dotted_name();
  return {line, std::move(name), tokens_.at_operator("(") ? call_arguments() : CallArguments{}};
}

std::vector<FilterStep> ExpressionParser::filters() {
  std::vector<FilterStep> steps;
  while (tokens_.at_operator("|")) steps.push_back(filter_step());
  return steps;
}

// `is name`, `is not name`, `is name(arguments)`, `is name argument`.
Expr ExpressionParser::test(Expr operand) {
  const int line = tokens_.next().line;
  const bool negated = tokens_.skip_name("not");
  std::string name = dotted_name();
  CallArguments arguments;
  const bool at_word = tokens_.at(Kind::kName) && !tokens_.at_name("else") && !tokens_.at_name("or") && !tokens_.at_name("and");
  if (tokens_.at_operator("(")) {
    arguments = call_arguments();
  } else if (at_word || tokens_.at(Kind::kString) || tokens_.at(Kind::kInteger) || tokens_.at(Kind::kFloat) || tokens_.at_operator("[") ||
             tokens_.at_operator("{")) {
    if (tokens_.at_name("is")) tokens_.fail("a test follows a test without `and` between them");
    arguments.positional.push_back(with_postfixes(primary()));
  }
  Expr expression = make(line, Test{std::move(operand), std::move(name), std::move(arguments)});
  return negated ? make(line, Unary{'!', std::move(expression)}) : std::move(expression);
}

CallArguments ExpressionParser::call_arguments() {
  tokens_.expect_operator("(");
  CallArguments out;
  const auto require = [&](bool in_order) {
    if (!in_order) tokens_.fail("the arguments of a call are in an order that Python does not allow");
  };
  for (bool first = true; !tokens_.at_operator(")"); first = false) {
    if (!first) tokens_.expect_operator(",");
    if (tokens_.at_operator(")")) break;
    if (tokens_.skip_operator("*")) {
      require(!out.star && !out.double_star);
      out.star = conditional();
    } else if (tokens_.skip_operator("**")) {
      require(!out.double_star);
      out.double_star = conditional();
    } else if (tokens_.at(Kind::kName) && TokenStream::is_operator(tokens_.ahead(), "=")) {
      require(!out.double_star);
      std::string name = tokens_.take_name();
      tokens_.expect_operator("=");
      out.named.emplace_back(std::move(name), conditional());
    } else {
      require(out.named.empty() && !out.star && !out.double_star);
      out.positional.push_back(conditional());
    }
  }
  tokens_.expect_operator(")");
  return out;
}

}  // namespace sluice::text::jinja
