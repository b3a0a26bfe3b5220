// From Oniguruma's Ruby syntax to PCRE2's. The differences are those of doc/RE in Oniguruma 6.9 and of pcre2pattern(3), 10.42; the
// character classes are compared over all code points with HF's engine (tests/unit/text/oracle_test.cpp).
#include "sluice/text/regex_translate.h"

#include <cctype>
#include <utility>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/text/regex.h"

namespace sluice::text {
namespace {

// PCRE2's own \s also has U+180E, and its \w lacks marks and connector punctuation. Oniguruma's \w has the six numbers of Latin-1 too, but
// not inside a class.
constexpr std::string_view kSpaceMembers = "\\x09-\\x0d\\x{85}\\p{Z}";
constexpr std::string_view kWordNumbers = "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}";

bool is_property(char escape) { return std::string_view("pPdD").find(escape) != std::string_view::npos; }

std::string in_brackets(std::string_view members) { return "[" + std::string(members) + "]"; }
std::string outside(std::string_view members) { return "[^" + std::string(members) + "]"; }

// One character of `set`.
std::string one_of(const CharacterSet& set) {
  if (set.excluded.empty()) return in_brackets(set.members);
  return "(?:(?!" + in_brackets(set.excluded) + ")" + in_brackets(set.members) + ")";
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where, UnicodeVersion version) : in_(pattern), where_(where), version_(version) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        escape();
      } else if (c == '[') {
        character_class();
      } else if (c == '(' && in_.substr(at_, 2) == "(?") {
        group();
      } else if (c == '{') {
        interval();
      } else {
        out_ += c;
        ++at_;
      }
    }
    return out_;
  }

 private:
  [[noreturn]] void refuse(const std::string& construct) const {
    throw Error(where_ + ": the pattern \"" + std::string(in_) + "\" uses " + construct + " at byte " + std::to_string(at_) +
                    ", which is not supported",
                "write the pattern without it");
  }

  // At a backslash outside a class.
  void escape() {
    const char c = next_of_escape();
    if (is_property(c)) return append(one_of(take_property()));
    if (std::string_view("wWbB").find(c) != std::string_view::npos) return word_escape(c);
    switch (c) {
      case 's':
        return take(2, in_brackets(kSpaceMembers));
      case 'S':
        return take(2, outside(kSpaceMembers));
      default:
        return shared_escape(c);
    }
  }

  std::string word_members() const {
    std::string members;
    for (const char* property : {"Alphabetic", "M", "Nd", "Pc"}) members += property_set(property, Polarity::kHas, version_).members;
    return members;
  }

  void word_escape(char c) {
    const std::string members = word_members() + std::string(kWordNumbers);
    const std::string word = in_brackets(members);
    switch (c) {
      case 'w':
        return take(2, word);
      case 'W':
        return take(2, outside(members));
      case 'b':
        return take(2, "(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))");
      default:
        return take(2, "(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))");
    }
  }

  // Escapes that mean the same inside and outside a class.
  void shared_escape(char c) {
    if (c == 'u') return code_point(4);
    if (c == 'x') return in_.substr(at_, 3) == "\\x{" ? braced_code_point() : code_point(2);
    if (std::string_view("hHyYXRKGNOQEgkcCM").find(c) != std::string_view::npos) refuse(std::string("\\") + c);
    take(2, std::string("\\") + c);
  }

  // Moves past \p{Name}, \p{^Name}, \P{Name}, \d or \D.
  CharacterSet take_property() {
    const char letter = next_of_escape();
    if (letter == 'd' || letter == 'D') {
      take(2, "");
      return property_set("Nd", letter == 'd' ? Polarity::kHas : Polarity::kLacks, version_);
    }
    const std::size_t close = in_.find('}', at_);
    if (in_.substr(at_ + 2, 1) != "{" || close == std::string_view::npos) refuse("a property without braces");
    std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    take(close + 1 - at_, "");
    return property_set(name, negated == (letter == 'P') ? Polarity::kHas : Polarity::kLacks, version_);
  }

  void braced_code_point() {
    const std::size_t close = in_.find('}', at_);
    if (close == std::string_view::npos) refuse("an escape without its }");
    take(close + 1 - at_, in_.substr(at_, close + 1 - at_));
  }

  void code_point(std::size_t digits) {
    const std::string hex(in_.substr(at_ + 2, digits));
    bool valid = hex.size() == digits;
    for (const char c : hex) valid = valid && std::isxdigit(static_cast<unsigned char>(c)) != 0;
    if (!valid || (digits == 2 && hex >= "80")) refuse("an escape of raw bytes");
    take(2 + digits, "\\x{" + hex + "}");
  }

  // A class, or what amounts to one where a property in it has exceptions: [a\P{L}] is (?:[a]|(?:(?![...])[\P{L}])).
  void character_class() {
    take(1, "");
    const std::string before = std::exchange(out_, "");
    const bool negated = at_ < in_.size() && in_[at_] == '^';
    if (negated) take(1, "");
    if (at_ < in_.size() && in_[at_] == ']') refuse("a class that begins with ]");
    std::vector<std::string> apart;  // each matches one character
    while (at_ < in_.size() && in_[at_] != ']') {
      if (in_[at_] == '[') refuse("a class within a class");
      if (in_.substr(at_, 2) == "&&") refuse("an intersection of classes");
      if (in_[at_] == '\\') {
        class_escape(apart);
      } else {
        append(in_.substr(at_++, 1));
      }
    }
    if (at_ >= in_.size()) refuse("a class without its ]");
    take(1, "");
    const std::string members = std::exchange(out_, before);
    if (apart.empty()) return append(negated ? outside(members) : in_brackets(members));
    std::string either = members.empty() ? "" : in_brackets(members) + "|";
    for (const std::string& one : apart) either += one + (&one == &apart.back() ? "" : "|");
    append(negated ? "(?:(?!" + either + ")\\p{Any})" : "(?:" + either + ")");
  }

  void class_escape(std::vector<std::string>& apart) {
    const char c = next_of_escape();
    if (is_property(c)) {
      const CharacterSet set = take_property();
      return set.excluded.empty() ? append(set.members) : apart.push_back(one_of(set));
    }
    switch (c) {
      case 's':
        return take(2, kSpaceMembers);
      case 'S':
        return take(2, "\\S\\x{180e}");
      case 'w':
        return take(2, word_members());
      case 'W':
      case 'B':
        refuse(std::string("\\") + c + " in a class");
      default:
        return shared_escape(c);
    }
  }

  // Option letters: Ruby's m is PCRE2's s.
  void group() {
    take(2, "(?");
    while (at_ < in_.size() && (std::isalpha(static_cast<unsigned char>(in_[at_])) != 0 || in_[at_] == '-')) {
      if (std::string_view("imx-").find(in_[at_]) == std::string_view::npos) refuse("a group option other than i, m and x");
      take(1, in_[at_] == 'm' ? "s" : in_.substr(at_, 1));
    }
    // The name of a named group, and the sign of a look-behind, pass as they are.
  }

  // {,n} is {0,n} in Ruby and literal in PCRE2; {n}? and {n,m}+ are not lazy and possessive there.
  void interval() {
    const std::size_t close = in_.find('}', at_);
    if (close == std::string_view::npos) return take(1, "{");
    const std::string_view inside = in_.substr(at_ + 1, close - at_ - 1);
    if (inside.empty() || inside.find_first_not_of("0123456789,") != std::string_view::npos || inside == ",") return take(1, "{");
    const char after = close + 1 < in_.size() ? in_[close + 1] : '\0';
    if (after == '+' || (after == '?' && inside.find(',') == std::string_view::npos)) refuse("a quantifier after an interval");
    take(close + 1 - at_, "{" + std::string(inside.front() == ',' ? "0" : "") + std::string(inside) + "}");
  }

  char next_of_escape() const {
    if (at_ + 1 >= in_.size()) refuse("a backslash at its end");
    return in_[at_ + 1];
  }

  void take(std::size_t bytes, std::string_view translation) {
    at_ += bytes;
    append(translation);
  }
  void append(std::string_view translation) { out_ += translation; }

  std::string_view in_;
  const std::string& where_;
  UnicodeVersion version_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string translate_pattern(std::string_view pattern, const std::string& where, UnicodeVersion version) {
  return Translator(pattern, where, version).run();
}

std::string quote_pattern(std::string_view literal) {
  std::string out;
  for (const char c : literal) {
    if (static_cast<unsigned char>(c) < 0x80 && std::ispunct(static_cast<unsigned char>(c)) != 0) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace sluice::text
