#include "sluice/text/word_decoders.h"

#include <algorithm>
#include <utility>

#include "sluice/text/replace.h"

namespace sluice::text {
namespace {

// HF's clean-up of a token's English: no space before punctuation and contractions, one after the other.
std::string tidied(std::string text) {
  static constexpr std::pair<const char*, const char*> kSteps[] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                                                   {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                                                   {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kSteps) text = replace_all(std::move(text), from, to);
  return text;
}

std::string not_empty(const ComponentSpec& spec, const char* key) {
  std::string text = spec.text(key);
  if (text.empty()) spec.fail("has an empty \"" + std::string(key) + "\"", "give at least one character");
  return text;
}

}  // namespace

BpeDecoder::BpeDecoder(const ComponentSpec& spec) : suffix_(not_empty(spec, "suffix")) {}

void BpeDecoder::decode(std::vector<std::string>& tokens) const {
  for (std::string& token : tokens) token = replace_all(std::move(token), suffix_, &token == &tokens.back() ? "" : " ");
}

void WordPieceDecoder::decode(std::vector<std::string>& tokens) const {
  for (std::string& token : tokens) {
    if (&token != &tokens.front()) {
      if (token.starts_with(prefix_)) {
        token.erase(0, prefix_.size());
      } else {
        token.insert(0, " ");
      }
    }
    if (cleanup_) token = tidied(std::move(token));
  }
}

CtcDecoder::CtcDecoder(const ComponentSpec& spec)
    : padding_(not_empty(spec, "pad_token")),
      delimiter_(not_empty(spec, "word_delimiter_token")),
      cleanup_(spec.flag_or("cleanup", true)) {}

void CtcDecoder::decode(std::vector<std::string>& tokens) const {
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  for (std::string& token : tokens) {
    token = replace_all(std::move(token), padding_, "");
    if (cleanup_) token = replace_all(tidied(std::move(token)), delimiter_, " ");
  }
  std::erase(tokens, "");
}

}  // namespace sluice::text
