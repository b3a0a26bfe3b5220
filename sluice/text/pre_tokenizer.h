// Pre-tokenizers of a tokenizer.json: they cut text into the pieces ("words") that the model tokenizes one by one.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "sluice/text/component.h"

namespace sluice::text {

// Text and the pieces of it that count, in order; what lies between pieces has been removed.
struct Pieces {
  struct Piece {
    std::size_t begin, end;  // bytes of `text`, begin < end
    bool at_start;           // begins where the whole input text begins
  };
  std::string text;
  std::vector<Piece> pieces;

  std::string_view view(const Piece& piece) const { return std::string_view(text).substr(piece.begin, piece.end - piece.begin); }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Cuts (and may rewrite) each piece; text stays valid UTF-8. Thread-safe.
  virtual void apply(Pieces& pieces) const = 0;
};

// Every pre-tokenizer of HF's tokenizers 0.23: Sequence, ByteLevel, Split, Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit,
// BertPreTokenizer, CharDelimiterSplit, FixedLength, UnicodeScripts. Error for others.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const ComponentSpec& spec);

}  // namespace sluice::text
