// The Unigram model (Kudo 2018, arXiv:1804.10959) as HF's tokenizer.json defines it.
#pragma once
#include <optional>

#include "sluice/text/byte_fallback.h"
#include "sluice/text/byte_trie.h"
#include "sluice/text/model.h"

namespace sluice::text {

// A piece becomes the tokens whose scores (log probabilities) have the largest sum, found by Viterbi's algorithm. A character that is no
// token costs the lowest score less 10; a run of such characters becomes the tokens of its bytes (byte_fallback, where all of them have
// one), else one unknown token. Of paths with one sum the one found first counts, which keeps the earlier start of its last token.
class Unigram final : public Model {
 public:
  Unigram(const ComponentSpec& spec, Vocabulary& vocabulary);
  void tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const override;

 private:
  // The best way to cover the piece up to a byte: its last token and where that begins.
  struct Step {
    double score = 0;
    std::int64_t begin = -1;  // -1 where no way is known
    std::int32_t id = -1;
  };
  void read_vocabulary(const ComponentSpec& spec, Vocabulary& vocabulary);
  void find_steps(std::string_view piece, std::vector<Step>& steps) const;
  void append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const;

  const Vocabulary* vocabulary_;
  std::string where_;
  ByteTrie tokens_;
  std::vector<double> scores_;  // by id
  double unknown_score_ = 0;
  std::int32_t unknown_ = -1;             // -1 where the file names none
  std::optional<ByteTokenIds> byte_ids_;  // with byte_fallback
};

}  // namespace sluice::text
