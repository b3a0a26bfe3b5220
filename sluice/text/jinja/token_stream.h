// The parser's place in the tokens.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/text/jinja/lexer.h"

namespace sluice::text::jinja {

class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, const std::string& where) : tokens_(std::move(tokens)), where_(where) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  int line() const { return current().line; }

  bool at(Token::Kind kind) const { return current().kind == kind; }
  bool at_operator(std::string_view op) const { return is_operator(current(), op); }
  bool at_name(std::string_view name) const { return at(Token::Kind::kName) && current().text == name; }
  static bool is_operator(const Token& token, std::string_view op) { return token.kind == Token::Kind::kOperator && token.text == op; }

  bool skip_operator(std::string_view op) { return skip_if(at_operator(op)); }
  bool skip_name(std::string_view name) { return skip_if(at_name(name)); }

  void expect_operator(std::string_view op) {
    if (!skip_operator(op)) fail_expected("'" + std::string(op) + "'");
  }
  void expect_name(std::string_view name) {
    if (!skip_name(name)) fail_expected("'" + std::string(name) + "'");
  }
  void expect(Token::Kind kind) {
    if (!skip_if(at(kind))) fail_expected(describe({kind, "", 0}));
  }
  std::string take_name() {
    if (!at(Token::Kind::kName)) fail_expected("a name");
    return next().text;
  }

  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(where_ + ", line " + std::to_string(line()) + ": " + problem, "mend the template");
  }
  [[noreturn]] void fail_expected(const std::string& what) const { fail("expected " + what + ", found " + describe(current())); }

 private:
  bool skip_if(bool here) {
    if (here) next();
    return here;
  }

  static std::string describe(const Token& token) {
    switch (token.kind) {
      case Token::Kind::kData:
        return "text";
      case Token::Kind::kPrintBegin:
        return "'{{'";
      case Token::Kind::kPrintEnd:
        return "'}}'";
      case Token::Kind::kBlockBegin:
        return "'{%'";
      case Token::Kind::kBlockEnd:
        return "'%}'";
      case Token::Kind::kString:
        return "a string";
      case Token::Kind::kEnd:
        return "the end of the template";
      case Token::Kind::kName:
      case Token::Kind::kInteger:
      case Token::Kind::kFloat:
      case Token::Kind::kOperator:
        return "'" + token.text + "'";
    }
    return "?";
  }

  std::vector<Token> tokens_;
  const std::string& where_;
  std::size_t at_ = 0;
};

}  // namespace sluice::text::jinja
