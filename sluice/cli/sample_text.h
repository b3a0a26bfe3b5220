// A training sample for a reader: its text, with what is trained on set apart.
#pragma once
#include <string>
#include <vector>

#include "sluice/base/json.h"
#include "sluice/data/sample.h"
#include "sluice/text/tokenizer.h"

namespace sluice::cli {

// A stretch of tokens that are all trained on, or none of them.
struct SamplePiece {
  std::string text;
  bool trained = false;
};
std::vector<SamplePiece> pieces_of(const data::Sample& sample, const text::Tokenizer& tokenizer);

enum class Marks { kColour, kBrackets };  // trained text is green, or stands in [[ ]]
std::string marked(const std::vector<SamplePiece>& pieces, Marks marks);

// {"num_tokens", "num_trained", "ids", "labels", "weights"?, "pieces": [{"text", "trained"}]}
OrderedJson sample_json(const data::Sample& sample, const text::Tokenizer& tokenizer);

}  // namespace sluice::cli
