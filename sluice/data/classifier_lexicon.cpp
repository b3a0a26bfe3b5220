#include "sluice/data/classifier_lexicon.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace sluice::data {
namespace {

constexpr std::int64_t kMinLower = 2, kMinGrammarRows = 30, kMinOriginRows = 3;
constexpr std::size_t kMinOrigins = 3;
constexpr double kMinOriginShare = 0.0005;

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_letter(char c) { return is_upper(c) || (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80; }
bool ends_sentence(char c) { return c == '.' || c == '!' || c == '?' || c == ':' || c == '"'; }

}  // namespace

void CaseCounts::add(std::string_view text) {
  if (std::none_of(text.begin(), text.end(), is_upper)) return;
  bool sentence_begins = true;
  std::string lower;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_letter(text[i])) {
      const bool space_follows = i + 1 == text.size() || text[i + 1] == ' ' || text[i + 1] == '\n';
      if (text[i] == '\n' || (ends_sentence(text[i]) && space_follows)) sentence_begins = true;
      ++i;
      continue;
    }
    const std::size_t start = i;
    while (i < text.size() && is_letter(text[i])) ++i;
    if (!sentence_begins) {
      lower.assign(text.substr(start, i - start));
      for (char& c : lower) c = is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
      Count& count = counts_[hash_word(lower)];
      ++(is_upper(text[start]) ? count.capital : count.lower);
    }
    sentence_begins = false;
  }
}

bool CaseCounts::is_common(std::uint32_t word_hash) const {
  const auto found = counts_.find(word_hash);
  return found != counts_.end() && found->second.lower >= kMinLower && found->second.lower >= found->second.capital;
}

Lexicon make_lexicon(const CaseCounts& counts, const std::vector<const TrainingRow*>& rows) {
  std::map<std::string, std::int64_t> origin_rows;
  std::map<std::uint32_t, std::map<std::string, std::int64_t>> word_rows;  // word, origin: questions with it
  QuestionWords words;
  std::set<std::uint32_t> seen;
  for (const TrainingRow* row : rows) {
    ++origin_rows[row->origin];
    words.assign(row->question);
    seen.clear();
    for (const Word& word : words.words()) {
      if (word.kind == WordKind::kWord) seen.insert(hash_word(word.text));
    }
    for (const std::uint32_t word : seen) ++word_rows[word][row->origin];
  }
  const auto is_grammar = [&](std::uint32_t word) {
    const auto found = word_rows.find(word);
    if (found == word_rows.end()) return false;
    std::int64_t total = 0;
    std::size_t num_origins = 0;
    for (const auto& [origin, count] : found->second) {
      total += count;
      if (count >= kMinOriginRows && static_cast<double>(count) >= kMinOriginShare * static_cast<double>(origin_rows[origin]))
        ++num_origins;
    }
    return total >= kMinGrammarRows && num_origins >= std::min(kMinOrigins, origin_rows.size());
  };
  std::vector<Lexicon::Entry> entries;
  for (const auto& [word, count] : counts.counts()) {
    if (counts.is_common(word)) entries.push_back({word, is_grammar(word) ? WordClass::kGrammar : WordClass::kCommon});
  }
  return Lexicon(std::move(entries));
}

}  // namespace sluice::data
