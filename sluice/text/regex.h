// Regular expressions over UTF-8 as the HF tokenizers mean them, on PCRE2.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::text {

// A pattern in the syntax of Oniguruma's Ruby mode (what HF's `Regex` patterns are written in), translated to PCRE2 and compiled by its
// JIT. Characters have the classes of HF's engine, whose Unicode may be newer than PCRE2's. Constructs that the two engines read differently
// and that are not translated are Errors, never a different match. Thread-safe once made.
class Regex {
 public:
  // `where` names the pattern's place in errors.
  Regex(std::string_view pattern, const std::string& where);

  // Matches the extended grapheme clusters of a text (Unicode Standard Annex 29) one by one.
  static Regex grapheme_clusters();

  ~Regex();
  Regex(Regex&&) noexcept;

  struct Match {
    std::size_t begin, end;  // bytes
  };

  // Calls `visit` for each match in turn, leftmost first, not overlapping; empty matches too. `text` is valid UTF-8 and all that the
  // pattern sees: look-behind does not reach before it. Error when a match costs more than the engine's limit.
  void for_each_match(std::string_view text, const std::function<void(Match)>& visit) const;

 private:
  struct Programs;
  Regex(std::unique_ptr<const Programs> programs, std::string where);
  std::unique_ptr<const Programs> programs_;
  std::string where_;
};

// The inside of a class of word characters with the joiners: what \w is by Unicode's UTS 18, annex C, and in Rust's regular expressions.
inline constexpr std::string_view kUnicodeWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}";

// A pattern that matches `literal` itself.
std::string quote_pattern(std::string_view literal);

}  // namespace sluice::text
