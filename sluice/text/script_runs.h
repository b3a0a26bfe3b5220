// The pre-tokenizer UnicodeScripts: text in runs of one script.
#pragma once
#include "sluice/text/pre_tokenizer.h"

namespace sluice::text {

// A piece is a character of a script and what follows it of the same script or of none, such as spaces; what is of none at the beginning
// of a piece is dropped, as HF does.
class ScriptRuns final : public PreTokenizer {
 public:
  explicit ScriptRuns(const ComponentSpec&) {}
  void apply(Pieces& pieces) const override;
};

}  // namespace sluice::text
