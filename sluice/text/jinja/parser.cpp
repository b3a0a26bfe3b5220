#include "sluice/text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "sluice/base/nearest.h"
#include "sluice/text/jinja/expression_parser.h"

namespace sluice::text::jinja {
namespace {

using Kind = Token::Kind;

class Parser {
 public:
  Parser(std::string_view source, const std::string& where) : tokens_(tokenize_template(source, where), where), expressions_(tokens_) {}

  Block run() {
    Block block = body({});
    if (!tokens_.at(Kind::kEnd)) tokens_.fail_expected("the end of the template");
    return block;
  }

 private:
  using Ends = std::initializer_list<std::string_view>;

  // Statements up to a tag whose name is one of `ends`, which becomes the current token; without ends, to the end of the template.
  Block body(Ends ends) {
    if (++nesting_ > kMaxNesting) tokens_.fail("blocks are nested deeper than the limit of " + std::to_string(kMaxNesting));
    Block block;
    for (;;) {
      const int line = tokens_.line();
      if (tokens_.at(Kind::kEnd)) {
        if (ends.size() != 0) tokens_.fail("the template ends before {% " + std::string(*(ends.end() - 1)) + " %}");
        break;
      }
      if (tokens_.at(Kind::kData)) {
        block.push_back({line, Data{tokens_.next().text}});
      } else if (tokens_.at(Kind::kPrintBegin)) {
        tokens_.next();
        block.push_back({line, Print{expressions_.tuple()}});
        tokens_.expect(Kind::kPrintEnd);
      } else {
        tokens_.expect(Kind::kBlockBegin);
        if (std::ranges::any_of(ends, [&](std::string_view end) { return tokens_.at_name(end); })) break;
        block.push_back({line, statement()});
        tokens_.expect(Kind::kBlockEnd);
      }
    }
    --nesting_;
    return block;
  }

  // After a tag's head: the body and, past it, the name of the tag that ends it.
  Block body_until(Ends ends) {
    tokens_.skip_operator(":");
    tokens_.expect(Kind::kBlockEnd);
    return body(ends);
  }

  Block whole_body(std::string_view end) {
    Block block = body_until({end});
    tokens_.expect_name(end);
    return block;
  }

  // Parses up to the end of the statement's last tag.
  decltype(Statement::node) statement() {
    if (!tokens_.at(Kind::kName)) tokens_.fail_expected("the name of a tag");
    const std::string tag = tokens_.current().text;
    constexpr std::string_view kKnown[] = {"if", "for", "set", "macro", "call", "filter", "with", "generation", "break", "continue"};
    if (std::ranges::find(kKnown, tag) == std::end(kKnown)) {
      const std::string reason =
          tag.starts_with("end") || tag == "else" || tag == "elif" ? " has nothing to end here" : " is not supported";
      tokens_.fail("the tag {% " + tag + " %}" + reason + " (tags: " + join_or({std::begin(kKnown), std::end(kKnown)}) + ")");
    }
    tokens_.next();
    if (tag == "if") return if_statement();
    if (tag == "for") return for_statement();
    if (tag == "set") return set_statement();
    if (tag == "macro") return macro_statement();
    if (tag == "call") return call_statement();
    if (tag == "filter") return filter_statement();
    if (tag == "with") return with_statement();
    if (tag == "generation") return Generation{body_outside_loops("endgeneration")};
    if (loops_ == 0) tokens_.fail("{% " + tag + " %} stands outside of a loop");
    if (tag == "break") return Break{};
    return Continue{};
  }

  If if_statement() {
    If node;
    do {
      Expr test = expressions_.tuple_without_if();
      node.branches.emplace_back(std::move(test), body_until({"elif", "else", "endif"}));
    } while (tokens_.skip_name("elif"));
    if (tokens_.skip_name("else")) node.otherwise = body_until({"endif"});
    tokens_.expect_name("endif");
    return node;
  }

  For for_statement() {
    For node;
    node.target = target("in");
    tokens_.expect_name("in");
    node.items = expressions_.tuple_without_if("recursive");
    if (tokens_.skip_name("if")) node.filter = expressions_.expression();
    node.recursive = tokens_.skip_name("recursive");
    ++loops_;
    node.body = body_until({"else", "endfor"});
    --loops_;
    if (tokens_.skip_name("else")) node.otherwise = body_until({"endfor"});
    tokens_.expect_name("endfor");
    return node;
  }

  decltype(Statement::node) set_statement() {
    Target to = target("");
    if (tokens_.skip_operator("=")) {
      Expr value = expressions_.tuple();
      return Set{std::move(to), std::move(value)};
    }
    std::vector<FilterStep> filters = expressions_.filters();
    return SetBlock{std::move(to), std::move(filters), body_outside_loops("endset")};
  }

  // Names, or namespace.attribute where `end` is empty (in {% set %}), with commas and parentheses.
  Target target(std::string_view end) {
    Target first = target_part(end);
    if (!tokens_.at_operator(",")) return first;
    Target several;
    several.parts.push_back(std::move(first));
    while (tokens_.skip_operator(",")) {
      if (tokens_.at_operator("=") || tokens_.at_operator(")") || (!end.empty() && tokens_.at_name(end))) break;
      several.parts.push_back(target_part(end));
    }
    return several;
  }

  Target target_part(std::string_view end) {
    if (tokens_.skip_operator("(")) {
      if (++nesting_ > kMaxNesting) tokens_.fail("names are nested deeper than the limit of " + std::to_string(kMaxNesting));
      Target inside = target(end);
      --nesting_;
      tokens_.expect_operator(")");
      return inside;
    }
    Target part;
    part.name = tokens_.take_name();
    if (end.empty() && tokens_.skip_operator(".")) part.attribute = tokens_.take_name();
    return part;
  }

  std::vector<Parameter> parameters() {
    std::vector<Parameter> out;
    tokens_.expect_operator("(");
    while (!tokens_.at_operator(")")) {
      if (!out.empty()) tokens_.expect_operator(",");
      std::string name = tokens_.take_name();
      Expr fallback = tokens_.skip_operator("=") ? expressions_.expression() : nullptr;
      if (!fallback && !out.empty() && out.back().fallback) tokens_.fail("a parameter without a default follows one with a default");
      out.push_back({std::move(name), std::move(fallback)});
    }
    tokens_.expect_operator(")");
    return out;
  }

  // The body of a macro, and of what catches its text, is in no loop, wherever it stands.
  Block body_outside_loops(std::string_view end) {
    const std::size_t loops = std::exchange(loops_, 0);
    Block block = whole_body(end);
    loops_ = loops;
    return block;
  }

  void parse_macro(MacroDefinition& macro, std::string_view end) {
    macro.body = body_outside_loops(end);
    macro.extras = expressions_.extras;
  }

  std::unique_ptr<MacroDefinition> macro_statement() {
    auto node = std::make_unique<MacroDefinition>();
    node->name = tokens_.take_name();
    node->parameters = parameters();
    const MacroDefinition::Extras around = std::exchange(expressions_.extras, {});
    parse_macro(*node, "endmacro");
    expressions_.extras = around;
    return node;
  }

  CallBlock call_statement() {
    CallBlock node;
    node.caller.name = "caller";
    if (tokens_.at_operator("(")) node.caller.parameters = parameters();
    node.call = expressions_.expression();
    if (!std::holds_alternative<Call>(node.call->node)) tokens_.fail("{% call %} needs the call of a macro");
    parse_macro(node.caller, "endcall");
    return node;
  }

  FilterBlock filter_statement() {
    FilterBlock node;
    node.filters.push_back(expressions_.filter_step());
    for (FilterStep& step : expressions_.filters()) node.filters.push_back(std::move(step));
    node.body = body_outside_loops("endfilter");
    return node;
  }

  With with_statement() {
    With node;
    while (!tokens_.at(Kind::kBlockEnd)) {
      if (!node.values.empty()) tokens_.expect_operator(",");
      Target to = target_part("=");
      tokens_.expect_operator("=");
      node.values.emplace_back(std::move(to), expressions_.expression());
    }
    node.body = whole_body("endwith");
    return node;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  std::size_t nesting_ = 0, loops_ = 0;
};

}  // namespace

Block parse_template(std::string_view source, const std::string& where) { return Parser(source, where).run(); }

}  // namespace sluice::text::jinja
