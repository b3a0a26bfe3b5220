// The decoders of word models: BPEDecoder, WordPiece and CTC of a tokenizer.json.
#pragma once
#include "sluice/text/decoder.h"

namespace sluice::text {

// The suffix that ends a word becomes a space, but for the last token's.
class BpeDecoder final : public Decoder {
 public:
  explicit BpeDecoder(const ComponentSpec& spec);
  void decode(std::vector<std::string>& tokens) const override;

 private:
  std::string suffix_;
};

// A token goes on the word before it where it has the prefix, which goes; else a space comes before it.
class WordPieceDecoder final : public Decoder {
 public:
  explicit WordPieceDecoder(const ComponentSpec& spec) : prefix_(spec.text("prefix")), cleanup_(spec.flag_or("cleanup", true)) {}
  void decode(std::vector<std::string>& tokens) const override;

 private:
  std::string prefix_;
  bool cleanup_;
};

// Of speech models (Graves et al. 2006): of a run of equal tokens one stays, padding goes, and the delimiter becomes a space, as in HF with
// `cleanup` alone.
class CtcDecoder final : public Decoder {
 public:
  explicit CtcDecoder(const ComponentSpec& spec);
  void decode(std::vector<std::string>& tokens) const override;

 private:
  std::string padding_, delimiter_;
  bool cleanup_;
};

}  // namespace sluice::text
