// Cutting pieces of text at the matches of a pattern.
#pragma once
#include "sluice/text/pre_tokenizer.h"
#include "sluice/text/regex.h"

namespace sluice::text {

// What becomes of the matches ("delimiters"): dropped; pieces of their own; joined to the piece before or after; runs of them one piece.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// The behavior's name in tokenizer.json ("MergedWithNext"); Error for others.
SplitBehavior split_behavior(const ComponentSpec& spec, const char* key, const char* fallback);

// Which parts are the delimiters: the matches, or what lies between them ("invert").
enum class Delimiters { kMatches, kGaps };

// Cuts every piece at the matches of `pattern`.
void split(Pieces& pieces, const Regex& pattern, SplitBehavior behavior, Delimiters delimiters = Delimiters::kMatches);

// Cuts every piece at the characters for which `is_delimiter` holds, each a match of its own.
void split(Pieces& pieces, bool (*is_delimiter)(char32_t), SplitBehavior behavior);

}  // namespace sluice::text
