#include "sluice/text/pre_tokenizer.h"

#include <array>

#include "sluice/text/byte_level.h"
#include "sluice/text/metaspace.h"
#include "sluice/text/script_runs.h"
#include "sluice/text/split.h"
#include "sluice/text/unicode.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

class SequencePreTokenizer final : public PreTokenizer {
 public:
  explicit SequencePreTokenizer(const ComponentSpec& spec) {
    for (const ComponentSpec& part : spec.children("pretokenizers")) parts_.push_back(make_pre_tokenizer(part));
  }
  void apply(Pieces& pieces) const override {
    for (const auto& part : parts_) part->apply(pieces);
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> parts_;
};

// Bytes become GPT-2's characters, after a cut into words by GPT-2's pattern where use_regex says so.
class ByteLevel final : public PreTokenizer {
 public:
  explicit ByteLevel(const ComponentSpec& spec) : add_prefix_space_(spec.flag_or("add_prefix_space", true)) {
    if (spec.flag_or("use_regex", true)) words_.emplace(kGpt2Pattern, spec.where());
  }
  void apply(Pieces& pieces) const override {
    if (add_prefix_space_)
      rewrite(pieces, [](std::string_view piece, std::string& out) {
        if (!piece.starts_with(' ')) out += ' ';
        out += piece;
      });
    if (words_) split(pieces, *words_, SplitBehavior::kIsolated);
    rewrite(pieces, [](std::string_view piece, std::string& out) { append_byte_level(out, piece); });
  }

 private:
  template <class Append>
  static void rewrite(Pieces& pieces, const Append& append) {
    std::string out;
    out.reserve(2 * pieces.text.size());
    for (Pieces::Piece& piece : pieces.pieces) {
      const std::size_t begin = out.size();
      append(pieces.view(piece), out);
      piece.begin = begin;
      piece.end = out.size();
    }
    pieces.text = std::move(out);
  }

  bool add_prefix_space_;
  std::optional<Regex> words_;
};

// One pattern and what to do with its matches: the generic component and those that fix the pattern.
class Split final : public PreTokenizer {
 public:
  explicit Split(const ComponentSpec& spec)
      : Split(spec, pattern_source(spec.child("pattern")), split_behavior(spec, "behavior", "Isolated"),
              spec.flag_or("invert", false) ? Delimiters::kGaps : Delimiters::kMatches) {}
  Split(const ComponentSpec& spec, std::string_view pattern, SplitBehavior behavior, Delimiters delimiters = Delimiters::kMatches)
      : pattern_(pattern, spec.where()), behavior_(behavior), delimiters_(delimiters) {}
  void apply(Pieces& pieces) const override { split(pieces, pattern_, behavior_, delimiters_); }

 private:
  Regex pattern_;
  SplitBehavior behavior_;
  Delimiters delimiters_;
};

// The same at the characters of a class.
class SplitAtCharacters final : public PreTokenizer {
 public:
  SplitAtCharacters(bool (*is_delimiter)(char32_t), SplitBehavior behavior) : is_delimiter_(is_delimiter), behavior_(behavior) {}
  void apply(Pieces& pieces) const override { split(pieces, is_delimiter_, behavior_); }

 private:
  bool (*is_delimiter_)(char32_t);
  SplitBehavior behavior_;
};

class Bert final : public PreTokenizer {
 public:
  explicit Bert(const ComponentSpec&) {}
  void apply(Pieces& pieces) const override {
    split(pieces, is_white_space, SplitBehavior::kRemoved);
    split(pieces, is_punctuation, SplitBehavior::kIsolated);
  }
};

// Pieces of `length` characters; the last may be shorter.
class FixedLength final : public PreTokenizer {
 public:
  explicit FixedLength(const ComponentSpec& spec) : length_(spec.has("length") ? spec.integer("length") : 5) {
    if (length_ < 1) spec.fail("has the length " + std::to_string(length_), "give at least 1");
  }
  void apply(Pieces& pieces) const override {
    std::vector<Pieces::Piece> out;
    for (const Pieces::Piece& piece : pieces.pieces) {
      for (std::size_t at = piece.begin; at < piece.end;) {
        const std::size_t begin = at;
        for (std::int64_t i = 0; i < length_ && at < piece.end; ++i) at += utf8_at(pieces.text, at).length;
        out.push_back({begin, at, piece.at_start && begin == piece.begin});
      }
    }
    pieces.pieces = std::move(out);
  }

 private:
  std::int64_t length_;
};

using Made = std::unique_ptr<PreTokenizer>;

Made make_digits(const ComponentSpec& spec) {
  const bool single = spec.flag_or("individual_digits", false);
  return std::make_unique<SplitAtCharacters>(is_numeric, single ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
}

Made make_punctuation(const ComponentSpec& spec) {
  return std::make_unique<SplitAtCharacters>(is_punctuation, split_behavior(spec, "behavior", "Isolated"));
}

Made make_whitespace(const ComponentSpec& spec) {
  const std::string word(kUnicodeWord);
  return std::make_unique<Split>(spec, "[" + word + "]+|[^" + word + "\\s]+", SplitBehavior::kRemoved, Delimiters::kGaps);
}

Made make_whitespace_split(const ComponentSpec&) { return std::make_unique<SplitAtCharacters>(is_white_space, SplitBehavior::kRemoved); }

Made make_char_delimiter(const ComponentSpec& spec) {
  std::string delimiter;
  append_utf8(delimiter, spec.character("delimiter"));
  return std::make_unique<Split>(spec, quote_pattern(delimiter), SplitBehavior::kRemoved);
}

Made make_metaspace(const ComponentSpec& spec) { return std::make_unique<MetaspacePreTokenizer>(spec); }

constexpr std::array<ComponentEntry<PreTokenizer>, 12> kPreTokenizers = {{
    entry_for<PreTokenizer, SequencePreTokenizer>("Sequence"),
    entry_for<PreTokenizer, ByteLevel>("ByteLevel"),
    entry_for<PreTokenizer, Split>("Split"),
    {"Metaspace", make_metaspace},
    {"Digits", make_digits},
    {"Punctuation", make_punctuation},
    {"Whitespace", make_whitespace},
    {"WhitespaceSplit", make_whitespace_split},
    entry_for<PreTokenizer, Bert>("BertPreTokenizer"),
    {"CharDelimiterSplit", make_char_delimiter},
    entry_for<PreTokenizer, FixedLength>("FixedLength"),
    entry_for<PreTokenizer, ScriptRuns>("UnicodeScripts"),
}};

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const ComponentSpec& spec) {
  return make_component<PreTokenizer>(spec, kPreTokenizers, "pre-tokenizer");
}

}  // namespace sluice::text
