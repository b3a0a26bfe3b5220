#include "sluice/text/bpe_trainer.h"

#include <algorithm>
#include <queue>
#include <set>
#include <span>

#include "sluice/base/error.h"
#include "sluice/text/byte_level.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

using Id = std::int32_t;
using Pair = std::pair<Id, Id>;

struct PairHash {
  std::size_t operator()(const Pair& pair) const {
    const auto key = static_cast<std::uint64_t>(pair.first) << 32 | static_cast<std::uint32_t>(pair.second);
    return static_cast<std::size_t>(key * 0x9E3779B97F4A7C15ULL >> 20);
  }
};

struct Word {
  std::vector<Id> symbols;
  std::int64_t count;
};

// A pair and its count when it was queued; the count is an upper bound later on, since only pairs with a new token gain.
struct Queued {
  std::int64_t count;
  Pair pair;
  bool operator<(const Queued& other) const { return count != other.count ? count < other.count : pair > other.pair; }
};

// How often each pair of neighbours occurs, kept as words change.
class PairCounts {
 public:
  explicit PairCounts(std::vector<Word> words) : words_(std::move(words)) {
    for (std::size_t i = 0; i < words_.size(); ++i) add_pairs(i, std::nullopt);
    for (const auto& [pair, info] : pairs_) queue_.push({info.count, pair});
  }

  // The most frequent pair and its count; a count of 0 when no pair is left.
  Queued best() {
    while (!queue_.empty()) {
      Queued top = queue_.top();
      const std::int64_t now = pairs_[top.pair].count;
      if (top.count == now && now > 0) return top;
      queue_.pop();
      if (now > 0) queue_.push({now, top.pair});
    }
    return {0, {}};
  }

  // Makes every `pair` one symbol `joined`.
  void merge(const Pair& pair, Id joined) {
    const std::vector<std::size_t> where = std::move(pairs_[pair].words);
    std::set<Pair> gained;
    for (const std::size_t index : where) {
      Word& word = words_[index];
      subtract_pairs(word);
      join(word.symbols, pair, joined);
      add_pairs(index, joined);
      for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) {
        if (word.symbols[i] == joined || word.symbols[i + 1] == joined) gained.insert({word.symbols[i], word.symbols[i + 1]});
      }
    }
    pairs_.erase(pair);
    for (const Pair& each : gained) queue_.push({pairs_[each].count, each});
  }

 private:
  struct Info {
    std::int64_t count = 0;
    std::vector<std::size_t> words;  // where the pair occurs, or has occurred
  };

  static void join(std::vector<Id>& symbols, const Pair& pair, Id joined) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      const bool found = i + 1 < symbols.size() && symbols[i] == pair.first && symbols[i + 1] == pair.second;
      symbols[kept++] = found ? joined : symbols[i];
      i += found ? 1 : 0;
    }
    symbols.resize(kept);
  }

  void subtract_pairs(const Word& word) {
    for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) pairs_[{word.symbols[i], word.symbols[i + 1]}].count -= word.count;
  }

  // Counts a word's pairs and notes where they are: all pairs, or those with `only` (the others are noted already).
  void add_pairs(std::size_t index, std::optional<Id> only) {
    const Word& word = words_[index];
    for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) {
      const Pair pair = {word.symbols[i], word.symbols[i + 1]};
      Info& info = pairs_[pair];
      info.count += word.count;
      const bool is_new = !only || pair.first == *only || pair.second == *only;
      if (is_new && (info.words.empty() || info.words.back() != index)) info.words.push_back(index);
    }
  }

  std::vector<Word> words_;
  std::unordered_map<Pair, Info, PairHash> pairs_;
  std::priority_queue<Queued> queue_;
};

// The special tokens, and the bytes in the order of their characters; `byte_ids` gets each byte's id.
std::vector<std::string> first_tokens(const std::vector<std::string>& special_tokens, std::span<Id> byte_ids) {
  std::vector<std::string> tokens = special_tokens;
  const std::array<char32_t, 256>& characters = byte_characters();
  std::vector<std::size_t> bytes(256);
  for (std::size_t byte = 0; byte < 256; ++byte) bytes[byte] = byte;
  std::sort(bytes.begin(), bytes.end(), [&](std::size_t a, std::size_t b) { return characters[a] < characters[b]; });
  for (const std::size_t byte : bytes) {
    byte_ids[byte] = static_cast<Id>(tokens.size());
    append_utf8(tokens.emplace_back(), characters[byte]);
  }
  return tokens;
}

}  // namespace

BpeTrainer::BpeTrainer(BpeTraining training) : training_(std::move(training)), words_pattern_(kGpt2Pattern, "the tokenizer's trainer") {
  const auto num_special = static_cast<std::int64_t>(training_.special_tokens.size());
  if (training_.vocab_size < 256 + num_special) {
    throw Error("a vocabulary of " + std::to_string(training_.vocab_size) + " tokens has no room for the 256 bytes and " +
                    std::to_string(num_special) + " special tokens",
                "ask for at least " + std::to_string(256 + num_special) + " tokens");
  }
  std::set<std::string> seen;
  for (const std::string& token : training_.special_tokens) {
    require_utf8(token, "a special token");
    std::string character;
    const bool is_byte = !token.empty() && utf8_at(token, 0).length == token.size() && byte_level_bytes(token).has_value();
    if (token.empty() || is_byte || !seen.insert(token).second) {
      throw Error("the special token \"" + token + "\" is " +
                      (token.empty() ? "empty"
                       : is_byte     ? "a single byte"
                                     : "given twice"),
                  "give each special token its own spelling, such as <|endoftext|>");
    }
  }
}

void BpeTrainer::add(std::string_view text) {
  require_utf8(text, "a text");
  // The pattern's last branches leave no character out, so its matches are all the words.
  words_pattern_.for_each_match(text,
                                [&](Regex::Match word) { ++word_counts_[std::string(text.substr(word.begin, word.end - word.begin))]; });
}

TrainedBpe BpeTrainer::train() const {
  TrainedBpe trained;
  std::array<Id, 256> byte_ids{};
  trained.tokens = first_tokens(training_.special_tokens, byte_ids);
  trained.num_special_tokens = static_cast<std::int64_t>(training_.special_tokens.size());
  std::unordered_map<std::string, Id> ids;
  for (std::size_t id = 0; id < trained.tokens.size(); ++id) ids.emplace(trained.tokens[id], static_cast<Id>(id));

  std::vector<Word> words;
  words.reserve(word_counts_.size());
  for (const auto& [word, count] : word_counts_) {
    Word& made = words.emplace_back(Word{{}, count});
    for (const char byte : word) made.symbols.push_back(byte_ids[static_cast<unsigned char>(byte)]);
  }
  PairCounts pairs(std::move(words));
  while (static_cast<std::int64_t>(trained.tokens.size()) < training_.vocab_size) {
    const auto [count, pair] = pairs.best();
    if (count < std::max<std::int64_t>(training_.min_pair_count, 1)) {
      throw Error("the texts give " + std::to_string(trained.tokens.size()) + " tokens, not the " + std::to_string(training_.vocab_size) +
                      " asked for: no pair is left that occurs " + std::to_string(training_.min_pair_count) + " times",
                  "ask for at most " + std::to_string(trained.tokens.size()) + " tokens, or give more text");
    }
    const std::string& left = trained.tokens[static_cast<std::size_t>(pair.first)];
    const std::string& right = trained.tokens[static_cast<std::size_t>(pair.second)];
    trained.merges.emplace_back(left, right);
    // Two pairs can spell one token; it keeps the id it has.
    const auto [entry, is_new] = ids.emplace(left + right, static_cast<Id>(trained.tokens.size()));
    if (is_new) trained.tokens.push_back(entry->first);
    pairs.merge(pair, entry->second);
  }
  return trained;
}

}  // namespace sluice::text
