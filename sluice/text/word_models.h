// The models of whole words, WordPiece and WordLevel, as HF's tokenizer.json defines them.
#pragma once
#include <optional>
#include <string>

#include "sluice/text/model.h"

namespace sluice::text {

// Each piece is a token or the unknown token.
class WordLevel final : public Model {
 public:
  WordLevel(const ComponentSpec& spec, Vocabulary& vocabulary);
  void tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const override;

 private:
  friend class WordPiece;
  std::int32_t unknown_for(std::string_view piece) const;  // Error where the file has no unknown token

  const Vocabulary* vocabulary_;
  std::string where_, unknown_name_;
  std::optional<std::int32_t> unknown_;
};

// A piece is cut into the longest token that it begins with, then the longest that goes on, spelt with the continuing prefix, and so on
// (Wu et al. 2016, arXiv:1609.08144). Where that finds no token, or the piece has too many characters, the whole piece is unknown.
class WordPiece final : public Model {
 public:
  WordPiece(const ComponentSpec& spec, Vocabulary& vocabulary);
  void tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const override;

 private:
  bool append_parts(std::string_view piece, std::vector<std::int32_t>& ids) const;

  WordLevel words_;
  std::string continuing_prefix_;
  std::int64_t max_characters_;
};

}  // namespace sluice::text
