// "Replace" of a tokenizer.json, which is both a normalizer and a decoder.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "sluice/text/component.h"
#include "sluice/text/regex.h"

namespace sluice::text {

// `text` with `to` for every `from`, which is not empty.
std::string replace_all(std::string text, std::string_view from, std::string_view to);

// Replaces every match of {"pattern": {"String"|"Regex": ...}} by {"content"}, taken literally.
class Replace {
 public:
  explicit Replace(const ComponentSpec& spec);
  std::string apply(std::string text) const;

 private:
  std::string literal_;         // the pattern where it is a string, not empty
  std::optional<Regex> regex_;  // else
  std::string content_;
};

}  // namespace sluice::text
