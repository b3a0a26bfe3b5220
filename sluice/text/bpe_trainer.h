// Trains a byte-level BPE tokenizer, GPT-2's kind, and writes it as HF's files.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/text/regex.h"

namespace sluice::text {

struct BpeTraining {
  std::int64_t vocab_size = 2048;           // special tokens and the 256 bytes included
  std::vector<std::string> special_tokens;  // take the first ids, in this order
  std::int64_t min_pair_count = 2;          // pairs seen less often are not joined
};

// Tokens by id: the special tokens, the 256 bytes by the order of their characters, then one for each merge.
struct TrainedBpe {
  std::vector<std::string> tokens;
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
  std::int64_t num_special_tokens = 0;
};

// Counts words as texts come in (memory grows with the distinct words), then joins the most frequent pair of neighbours again and again,
// the pair with the lower ids of equals. Depends on the texts' words and their counts alone, not on the order of the texts.
class BpeTrainer {
 public:
  // Error when the vocabulary has no room for the special tokens and the bytes, or a special token is empty or given twice.
  explicit BpeTrainer(BpeTraining training);

  // Adds the words of one text. Error when it is not valid UTF-8.
  void add(std::string_view text);

  // Error when the texts have too few pairs for the vocabulary.
  TrainedBpe train() const;

 private:
  BpeTraining training_;
  Regex words_pattern_;
  std::unordered_map<std::string, std::int64_t> word_counts_;
};

// What tokenizer_config.json says of a trained tokenizer. Each token is one of its special tokens, or empty for none.
struct TokenizerRoles {
  std::string bos, eos, pad;
  std::int64_t model_max_length = 0;  // tokens
};

// Writes tokenizer.json and tokenizer_config.json into `folder`, making it where it is missing; HF's `tokenizers` and transformers read
// them. Error when a role's token is not a special token.
void write_tokenizer(const TrainedBpe& bpe, const TokenizerRoles& roles, const fs::path& folder);

}  // namespace sluice::text
