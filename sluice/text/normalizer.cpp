#include "sluice/text/normalizer.h"

#include <array>

#include "sluice/text/bert_normalizer.h"
#include "sluice/text/byte_level.h"
#include "sluice/text/precompiled_charsmap.h"
#include "sluice/text/regex.h"
#include "sluice/text/replace.h"
#include "sluice/text/unicode.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

class SequenceNormalizer final : public Normalizer {
 public:
  explicit SequenceNormalizer(const ComponentSpec& spec) {
    for (const ComponentSpec& part : spec.children("normalizers")) parts_.push_back(make_normalizer(part));
  }
  std::string normalize(std::string text) const override {
    for (const auto& part : parts_) text = part->normalize(std::move(text));
    return text;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> parts_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(const ComponentSpec& spec) : prefix_(spec.text("prepend")) {}
  std::string normalize(std::string text) const override {
    if (!text.empty()) text.insert(0, prefix_);
    return text;
  }

 private:
  std::string prefix_;
};

class ReplaceNormalizer final : public Normalizer {
 public:
  explicit ReplaceNormalizer(const ComponentSpec& spec) : replace_(spec) {}
  std::string normalize(std::string text) const override { return replace_.apply(std::move(text)); }

 private:
  Replace replace_;
};

// The form is fixed when the component is made.
template <std::string (*form)(std::string_view)>
class UnicodeForm final : public Normalizer {
 public:
  explicit UnicodeForm(const ComponentSpec&) {}
  std::string normalize(std::string text) const override { return form(text); }
};

class StripNormalizer final : public Normalizer {
 public:
  explicit StripNormalizer(const ComponentSpec& spec)
      : left_(spec.flag_or("strip_left", true)), right_(spec.flag_or("strip_right", true)) {}
  std::string normalize(std::string text) const override {
    std::size_t begin = 0, end = text.size();
    if (left_) begin = end_of_leading_space(text);
    if (right_) end = std::max(begin, start_of_trailing_space(text));
    return text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

class ByteLevelNormalizer final : public Normalizer {
 public:
  explicit ByteLevelNormalizer(const ComponentSpec&) {}
  std::string normalize(std::string text) const override {
    std::string out;
    append_byte_level(out, text);
    return out;
  }
};

template <bool (*is_removed)(char32_t)>
class Remove final : public Normalizer {
 public:
  explicit Remove(const ComponentSpec&) {}
  std::string normalize(std::string text) const override { return without(text, is_removed); }
};

// SentencePiece's preparation of text for translation: control characters go, and what is or looks like white space becomes a space.
class Nmt final : public Normalizer {
 public:
  explicit Nmt(const ComponentSpec&) {}
  std::string normalize(std::string text) const override {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
      const auto [code, length] = utf8_at(text, at);
      if (is_space(code)) {
        out += ' ';
      } else if (!is_removed(code)) {
        out.append(text, at, length);
      }
      at += length;
    }
    return out;
  }

 private:
  static bool is_removed(char32_t code) {
    return (code >= 0x1 && code <= 0x8) || code == 0xB || (code >= 0xE && code <= 0x1F) || code == 0x7F || code == 0x8F || code == 0x9F;
  }
  static bool is_space(char32_t code) {
    return code == 0x9 || code == 0xA || code == 0xC || code == 0xD || code == 0x1680 || (code >= 0x200B && code <= 0x200F) ||
           code == 0x2028 || code == 0x2029 || code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
  }
};

using Entry = ComponentEntry<Normalizer>;
constexpr std::array<Entry, 14> kNormalizers = {{
    entry_for<Normalizer, SequenceNormalizer>("Sequence"),
    entry_for<Normalizer, Prepend>("Prepend"),
    entry_for<Normalizer, ReplaceNormalizer>("Replace"),
    entry_for<Normalizer, UnicodeForm<to_nfc>>("NFC"),
    entry_for<Normalizer, UnicodeForm<to_nfd>>("NFD"),
    entry_for<Normalizer, UnicodeForm<to_nfkc>>("NFKC"),
    entry_for<Normalizer, UnicodeForm<to_nfkd>>("NFKD"),
    entry_for<Normalizer, UnicodeForm<to_lower>>("Lowercase"),
    entry_for<Normalizer, StripNormalizer>("Strip"),
    entry_for<Normalizer, ByteLevelNormalizer>("ByteLevel"),
    entry_for<Normalizer, Remove<is_mark>>("StripAccents"),
    entry_for<Normalizer, Nmt>("Nmt"),
    entry_for<Normalizer, BertNormalizer>("BertNormalizer"),
    entry_for<Normalizer, PrecompiledCharsmap>("Precompiled"),
}};

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const ComponentSpec& spec) {
  return make_component<Normalizer>(spec, kNormalizers, "normalizer");
}

}  // namespace sluice::text
