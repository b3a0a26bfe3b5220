// A tokenizer whose ids are known by hand: the end token is 0, BOS 1, and a byte b is b + 3.
#pragma once
#include <string>
#include <vector>

#include "sluice/text/tokenizer.h"

namespace sluice::data {

class ByteTokenizer : public text::Tokenizer {
 public:
  enum class Bos { kNone, kAdds };
  enum class End { kNone, kHas };
  explicit ByteTokenizer(Bos bos = Bos::kNone, End end = End::kHas) : adds_bos_(bos == Bos::kAdds) {
    if (end == End::kHas) special_.eos = kEnd;
    special_.bos = kBos;
  }

  static constexpr std::int32_t kEnd = 0, kBos = 1, kColonSpace = 259;

  // With `merge_colon_space`, ": " is one token, so that the end of a prompt merges with the answer's space.
  bool merge_colon_space = false;

  std::vector<std::int32_t> encode(std::string_view text, text::SpecialTokens add) const override {
    std::vector<std::int32_t> ids;
    if (adds_bos_ && add == text::SpecialTokens::kAdd) ids.push_back(kBos);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (merge_colon_space && text.substr(i, 2) == ": ") {
        ids.push_back(kColonSpace);
        ++i;
      } else {
        ids.push_back(static_cast<unsigned char>(text[i]) + 3);
      }
    }
    return ids;
  }
  std::string decode(std::span<const std::int32_t> ids, text::DecodeSpecial) const override {
    std::string out;
    for (const std::int32_t id : ids)
      out += id == kEnd ? "<end>" : id == kBos ? "<bos>" : id == kColonSpace ? ": " : std::string(1, static_cast<char>(id - 3));
    return out;
  }
  std::int64_t vocab_size() const override { return 260; }
  std::optional<std::int32_t> token_id(std::string_view) const override { return std::nullopt; }
  std::string token(std::int32_t) const override { return ""; }

 private:
  bool adds_bos_;
};

inline constexpr std::int64_t kByteVocab = 260;

}  // namespace sluice::data
