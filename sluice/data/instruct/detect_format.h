// Which format the rows of a file look like.
#pragma once
#include <optional>
#include <span>
#include <string>

#include "sluice/base/json.h"
#include "sluice/data/config.h"

namespace sluice::data {

struct FormatGuess {
  std::optional<Format> format;  // nothing when no format fits every row
  std::string why;               // "the columns instruction and output look like alpaca"
  std::string remedy;            // the setting to write
};

// `rows` are the first of a file, at least one, with all their columns.
FormatGuess detect_format(std::span<const OrderedJson> rows);

// Error, with the settings that read their chosen answers, when `row` is one of a preference set (chosen and rejected answers, or answers
// marked good or bad): such sets are read by format custom alone.
void refuse_preferences(const OrderedJson& row, const std::string& where);

}  // namespace sluice::data
