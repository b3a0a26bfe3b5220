// SentencePiece's tokenizer.model, read by its own library.
#pragma once
#include "sluice/text/tokenizer.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace sluice::text {

// Special tokens spelt in the text are plain text. kAdd puts BOS in front where the model has one.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(const fs::path& path);
  ~SentencePieceTokenizer() override;

  std::vector<std::int32_t> encode(std::string_view text, SpecialTokens add) const override;
  std::string decode(std::span<const std::int32_t> ids, DecodeSpecial special = DecodeSpecial::kKeep) const override;
  std::int64_t vocab_size() const override;
  std::optional<std::int32_t> token_id(std::string_view token) const override;
  std::string token(std::int32_t id) const override;

 private:
  std::unique_ptr<const sentencepiece::SentencePieceProcessor> processor_;
  std::string where_;
};

}  // namespace sluice::text
