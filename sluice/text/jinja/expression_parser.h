// The expressions of a template.
#pragma once
#include "sluice/text/jinja/ast.h"
#include "sluice/text/jinja/token_stream.h"

namespace sluice::text::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  Expr expression() { return conditional(); }
  Expr expression_without_if() { return either(); }
  // One expression, or several with commas between them, which make a tuple. `end` is a name that may follow them.
  Expr tuple(std::string_view end = "");
  Expr tuple_without_if(std::string_view end = "");
  // ".name | filter(arguments) | ..." after the point where the first '|' may stand.
  std::vector<FilterStep> filters();
  FilterStep filter_step();

  // Those that the names parsed so far are; whoever parses a macro resets and reads it.
  MacroDefinition::Extras extras;

 private:
  class Nesting;
  using Parse = Expr (ExpressionParser::*)();
  Expr make(int line, decltype(Expression::node) node);
  Expr tuple_of(Parse part, std::string_view end);
  bool at_tuple_end(std::string_view end) const;
  Expr conditional();
  Expr either();
  Expr both();
  Expr negation();
  Expr comparison();
  Expr sum();
  Expr concat();
  Expr product();
  Expr power();
  Expr unary();
  Expr unary_without_filters();
  Expr primary();
  Expr parenthesized();
  Expr list();
  Expr dict();
  Expr with_postfixes(Expr expression);
  Expr with_filters(Expr expression);
  Expr attribute(Expr object);
  Expr subscript(Expr object);
  Expr test(Expr operand);
  CallArguments call_arguments();
  std::string dotted_name();

  TokenStream& tokens_;
  std::size_t nesting_ = 0, chain_ = 0;
};

}  // namespace sluice::text::jinja
