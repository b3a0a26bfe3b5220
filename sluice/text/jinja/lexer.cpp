#include "sluice/text/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "sluice/base/error.h"
#include "sluice/text/jinja/characters.h"
#include "sluice/text/utf8.h"

namespace sluice::text::jinja {
namespace {

// Line ends become \n, and one at the very end goes.
std::string normalized(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What the sign in `{%-` or `-%}` says: nothing, take white space away, or leave it.
enum class Sign { kNone, kStrip, kKeep };
Sign sign_of(char c) { return c == '-' ? Sign::kStrip : c == '+' ? Sign::kKeep : Sign::kNone; }

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& where) : source_(normalized(source)), where_(where) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const std::size_t tag = next_tag();
      if (tag == std::string::npos) {
        data(at_, source_.size());
        at_ = source_.size();
      } else {
        tag_at(tag);
      }
    }
    add(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(where_ + ", line " + std::to_string(line_) + ": " + problem, "mend the template");
  }

  void add(Token::Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  void data(std::size_t begin, std::size_t end) {
    if (end > begin) add(Token::Kind::kData, source_.substr(begin, end - begin));
  }

  void move_to(std::size_t end) {
    line_ += static_cast<int>(
        std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_), source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    at_ = end;
  }

  bool looking_at(std::string_view word, std::size_t at) const { return std::string_view(source_).substr(at).starts_with(word); }

  std::size_t next_tag() const {
    for (std::size_t at = source_.find('{', at_); at != std::string::npos; at = source_.find('{', at + 1)) {
      if (looking_at("{{", at) || looking_at("{%", at) || looking_at("{#", at)) return at;
    }
    return std::string::npos;
  }

  std::size_t after_space(std::size_t at) const { return at + leading_space(std::string_view(source_).substr(at)); }

  // Where the data before a tag at `tag` ends, given the sign after its opening.
  std::size_t data_end(std::size_t begin, std::size_t tag, Sign sign, char opening) const {
    const std::string_view text = std::string_view(source_).substr(begin, tag - begin);
    if (sign == Sign::kStrip) return begin + trailing_space(text);
    if (sign == Sign::kKeep || opening == '{') return tag;
    const std::size_t line_start = text.rfind('\n') + 1;  // 0 when there is none
    const bool at_line_start = line_start > 0 || begin == 0 || source_[begin - 1] == '\n';
    const bool only_space = trailing_space(text) <= line_start;
    return at_line_start && only_space ? begin + line_start : tag;
  }

  // Past the end of a tag whose closing characters end at `at`; a line end right after a block goes unless the sign says otherwise.
  std::size_t after_closing(std::size_t at, Sign sign) const {
    if (sign == Sign::kStrip) return after_space(at);
    return sign == Sign::kNone && at < source_.size() && source_[at] == '\n' ? at + 1 : at;
  }

  void tag_at(std::size_t tag) {
    const char opening = source_[tag + 1];
    const Sign sign = tag + 2 < source_.size() ? sign_of(source_[tag + 2]) : Sign::kNone;
    const std::size_t inside = tag + 2 + (sign == Sign::kNone ? 0 : 1);
    data(at_, data_end(at_, tag, sign, opening));
    move_to(tag);
    if (opening == '#') return comment(inside);
    if (opening == '%' && raw(inside)) return;
    add(opening == '{' ? Token::Kind::kPrintBegin : Token::Kind::kBlockBegin, "");
    move_to(inside);
    if (opening == '{') {
      code("}}", Token::Kind::kPrintEnd);
    } else {
      code("%}", Token::Kind::kBlockEnd);
    }
  }

  void comment(std::size_t inside) {
    const std::size_t end = source_.find("#}", inside);
    if (end == std::string::npos) fail("the comment that begins here has no end #}");
    move_to(after_closing(end + 2, end > inside ? sign_of(source_[end - 1]) : Sign::kNone));
  }

  // `{% raw %}...{% endraw %}` whose first tag's inside begins at `inside`; false when it is another tag.
  bool raw(std::size_t inside) {
    std::size_t at = after_space(inside);
    if (!looking_at("raw", at)) return false;
    at = after_space(at + 3);
    const bool strip = looking_at("-%}", at);
    if (!strip && !looking_at("%}", at)) return false;
    const std::size_t begin = strip ? after_space(at + 3) : at + 2;
    for (std::size_t tag = source_.find("{%", begin); tag != std::string::npos; tag = source_.find("{%", tag + 1)) {
      const Sign sign = tag + 2 < source_.size() ? sign_of(source_[tag + 2]) : Sign::kNone;
      std::size_t word = after_space(tag + 2 + (sign == Sign::kNone ? 0 : 1));
      if (!looking_at("endraw", word)) continue;
      word = after_space(word + 6);
      const Sign closing = word < source_.size() ? sign_of(source_[word]) : Sign::kNone;
      if (closing != Sign::kNone) ++word;
      if (!looking_at("%}", word)) continue;
      move_to(begin);
      data(begin, data_end(begin, tag, sign, '%'));
      move_to(after_closing(word + 2, closing));
      return true;
    }
    fail("{% raw %} has no {% endraw %}");
  }

  // The tokens inside a tag, up to its closing.
  void code(std::string_view closing, Token::Kind end) {
    const int begin_line = line_;
    std::string open;  // the brackets that wait for their partners
    for (;;) {
      move_to(after_space(at_));
      if (at_ >= source_.size()) {
        line_ = begin_line;
        fail("the tag that begins here has no end " + std::string(closing));
      }
      if (open.empty()) {
        const Sign sign = sign_of(source_[at_]);
        const bool signed_end = sign == Sign::kStrip || (sign == Sign::kKeep && closing == "%}");
        const std::size_t at = at_ + (signed_end ? 1 : 0);
        if (looking_at(closing, at)) {
          add(end, "");
          const bool block = closing == "%}";
          return move_to(block || sign == Sign::kStrip ? after_closing(at + 2, signed_end ? sign : Sign::kNone) : at + 2);
        }
      }
      token(open);
    }
  }

  void token(std::string& open) {
    const char c = source_[at_];
    if (is_digit(c)) return number();
    if (is_name_start(c)) {
      std::size_t end = at_;
      while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
      add(Token::Kind::kName, source_.substr(at_, end - at_));
      return move_to(end);
    }
    if (c == '\'' || c == '"') return string(c);
    constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "(",
                                               ")",  "[",  "]",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto found = std::ranges::find_if(kOperators, [&](std::string_view op) { return looking_at(op, at_); });
    if (found == std::end(kOperators)) {
      const std::size_t length = utf8_at(source_, at_).length;
      fail("unexpected character '" + source_.substr(at_, length) + "'");
    }
    balance(*found, open);
    add(Token::Kind::kOperator, std::string(*found));
    move_to(at_ + found->size());
  }

  void balance(std::string_view op, std::string& open) const {
    if (op == "(" || op == "[" || op == "{") open += op == "(" ? ')' : op == "[" ? ']' : '}';
    if (op != ")" && op != "]" && op != "}") return;
    if (open.empty()) fail("'" + std::string(op) + "' closes nothing");
    if (open.back() != op[0]) fail("'" + std::string(op) + "' stands where '" + open.back() + "' should");
    open.pop_back();
  }

  void number() {
    std::size_t end = at_;
    std::string digits;
    const auto take = [&](auto&& belongs) {
      while (end < source_.size() &&
             (belongs(source_[end]) || (source_[end] == '_' && end + 1 < source_.size() && belongs(source_[end + 1])))) {
        if (source_[end] != '_') digits += source_[end];
        ++end;
      }
    };
    const char marker = at_ + 1 < source_.size() && source_[at_] == '0' ? static_cast<char>(source_[at_ + 1] | 0x20) : ' ';
    const int base = marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 10;
    bool is_float = false;
    if (base != 10) {
      end += 2;
      take([&](char c) { return c != '_' && (is_digit(c) ? c - '0' < base : base == 16 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f'); });
      if (digits.empty()) fail("'" + source_.substr(at_, 2) + "' begins a number that has no digits");
    } else {
      take(is_digit);
      const bool after_dot = !tokens_.empty() && tokens_.back().kind == Token::Kind::kOperator && tokens_.back().text == ".";
      if (!after_dot) is_float = fraction(end, digits, take);
    }
    add(is_float ? Token::Kind::kFloat : Token::Kind::kInteger, digits);
    Token& token = tokens_.back();
    const char *first = digits.data(), *last = first + digits.size();
    const std::errc error = is_float ? std::from_chars(first, last, token.real).ec : std::from_chars(first, last, token.integer, base).ec;
    if (error != std::errc()) fail("the number " + digits + " is too large");
    move_to(end);
  }

  // The part of a float past its whole digits, where there is one.
  template <class Take>
  bool fraction(std::size_t& end, std::string& digits, const Take& take) const {
    const auto digit_at = [&](std::size_t at) { return at < source_.size() && is_digit(source_[at]); };
    bool found = false;
    if (end < source_.size() && source_[end] == '.' && digit_at(end + 1)) {
      found = true;
      digits += '.';
      ++end;
      take(is_digit);
    }
    if (end >= source_.size() || (source_[end] | 0x20) != 'e') return found;
    const std::size_t sign = end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-') ? 1 : 0;
    if (!digit_at(end + 1 + sign)) return found;
    digits += 'e';
    if (sign == 1 && source_[end + 1] == '-') digits += '-';
    end += 1 + sign;
    take(is_digit);
    return true;
  }

  void string(char quote) {
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("the string that begins here has no end");
    add(Token::Kind::kString, unescaped(std::string_view(source_).substr(at_ + 1, end - at_ - 1)));
    move_to(end + 1);
  }

  // Python's escapes; an unknown one stays as it is written.
  std::string unescaped(std::string_view body) const {
    std::string out;
    for (std::size_t at = 0; at < body.size();) {
      if (body[at] != '\\') {
        out += body[at++];
        continue;
      }
      const char c = body[at + 1];
      constexpr std::string_view kNames = "abfnrtv\\'\"", kValues = "\a\b\f\n\r\t\v\\'\"";
      at += 2;
      if (c == '\n') continue;
      if (const auto named = kNames.find(c); named != std::string_view::npos) {
        out += kValues[named];
      } else if (c == 'x' || c == 'u' || c == 'U') {
        at += code_point(body.substr(at), c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, out);
      } else if (c >= '0' && c <= '7') {
        std::size_t length = 1;
        while (length < 3 && at - 1 + length < body.size() && body[at - 1 + length] >= '0' && body[at - 1 + length] <= '7') ++length;
        at += code_point(body.substr(at - 1), length, 8, out) - 1;
      } else if (c == 'N') {
        fail("the escape \\N{...} is not supported");
      } else {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  std::size_t code_point(std::string_view body, std::size_t length, int base, std::string& out) const {
    std::uint32_t code = 0;
    const char *first = body.data(), *last = first + std::min(length, body.size());
    const bool whole = body.size() >= length && std::from_chars(first, last, code, base).ptr == last;
    if (!whole || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) fail("a string has an escape that is no character");
    append_utf8(out, code);
    return length;
  }

  const std::string source_;
  const std::string& where_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

std::vector<Token> tokenize_template(std::string_view source, const std::string& where) {
  require_utf8(source, where);
  return Lexer(source, where).run();
}

}  // namespace sluice::text::jinja
