// SentencePiece's way with spaces: a visible character (U+2581) for each, and one before the first word.
#pragma once
#include "sluice/text/decoder.h"
#include "sluice/text/pre_tokenizer.h"
#include "sluice/text/regex.h"

namespace sluice::text {

// The settings that "Metaspace" has in both of its roles.
struct MetaspaceSettings {
  // To every piece; to the piece that begins the text; to none. HF asks whether a piece comes from the first character of the text as it
  // was, so that none is the first after a normalizer that has removed that character (Strip), and two may be after one that has put
  // something before it (Prepend). Here it is the piece that begins the normalized text.
  enum class Prepend { kAlways, kFirst, kNever };
  std::string replacement;
  Prepend prepend;
};
MetaspaceSettings metaspace_settings(const ComponentSpec& spec);

class MetaspacePreTokenizer final : public PreTokenizer {
 public:
  explicit MetaspacePreTokenizer(const ComponentSpec& spec);
  void apply(Pieces& pieces) const override;

 private:
  MetaspaceSettings settings_;
  Regex replacement_;
  bool split_;
};

class MetaspaceDecoder final : public Decoder {
 public:
  explicit MetaspaceDecoder(const ComponentSpec& spec) : settings_(metaspace_settings(spec)) {}
  void decode(std::vector<std::string>& tokens) const override;

 private:
  MetaspaceSettings settings_;
};

}  // namespace sluice::text
