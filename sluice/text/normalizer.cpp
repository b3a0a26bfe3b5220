#include "sluice/text/normalizer.h"

#include <array>

#include "sluice/text/byte_level.h"
#include "sluice/text/regex.h"
#include "sluice/text/replace.h"
#include "sluice/text/unicode.h"

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

using Entry = ComponentEntry<Normalizer>;
constexpr std::array<Entry, 8> kNormalizers = {{
    entry_for<Normalizer, SequenceNormalizer>("Sequence"),
    entry_for<Normalizer, Prepend>("Prepend"),
    entry_for<Normalizer, ReplaceNormalizer>("Replace"),
    entry_for<Normalizer, UnicodeForm<to_nfc>>("NFC"),
    entry_for<Normalizer, UnicodeForm<to_nfd>>("NFD"),
    entry_for<Normalizer, UnicodeForm<to_lower>>("Lowercase"),
    entry_for<Normalizer, StripNormalizer>("Strip"),
    entry_for<Normalizer, ByteLevelNormalizer>("ByteLevel"),
}};

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const ComponentSpec& spec) {
  return make_component<Normalizer>(spec, kNormalizers, "normalizer");
}

}  // namespace sluice::text
