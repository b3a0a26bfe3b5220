// The model of a tokenizer.json: from a piece of text to token ids.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "sluice/text/pre_tokenizer.h"
#include "sluice/text/vocabulary.h"

namespace sluice::text {

class Model {
 public:
  virtual ~Model() = default;
  // Appends the ids of each piece in turn; a piece's ids depend on its text alone. Thread-safe.
  virtual void tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const = 0;
};

// BPE, Unigram, WordPiece or WordLevel; Error for others. Fills `vocabulary`, which outlives the model, with its tokens.
std::unique_ptr<Model> make_model(const ComponentSpec& spec, Vocabulary& vocabulary);

}  // namespace sluice::text
