#include "sluice/text/unigram.h"

#include <algorithm>
#include <limits>

#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

constexpr double kUnknownPenalty = 10.0;

}  // namespace

Unigram::Unigram(const ComponentSpec& spec, Vocabulary& vocabulary) : vocabulary_(&vocabulary), where_(spec.where()) {
  read_vocabulary(spec, vocabulary);
  if (spec.has("unk_id")) {
    unknown_ = checked_id(spec.value("unk_id"), spec);
    if (unknown_ >= vocabulary.size()) {
      spec.fail("has the unk_id " + std::to_string(unknown_) + ", but only " + std::to_string(vocabulary.size()) + " tokens",
                "name one of them, or set it to null");
    }
  }
  if (spec.flag_or("byte_fallback", false)) byte_ids_ = byte_token_ids(vocabulary);
}

// "vocab" is [[token, score], ...] in the order of the ids. A token that comes twice counts the second time.
void Unigram::read_vocabulary(const ComponentSpec& spec, Vocabulary& vocabulary) {
  const Json& rows = spec.value("vocab");
  if (!rows.is_array() || rows.empty()) spec.fail("has a \"vocab\" that is not an array of [token, score]", "use a whole tokenizer file");
  double lowest = std::numeric_limits<double>::infinity();
  for (const Json& row : rows) {
    const auto id = static_cast<std::int32_t>(scores_.size());
    if (!row.is_array() || row.size() != 2 || !row[0].is_string() || !row[1].is_number() || id > kMaxId) {
      spec.fail(
          "has the row " + dump_json(row).substr(0, 200) + " (number " + std::to_string(id) + ") in \"vocab\", which is not [token, score]",
          "mend the tokenizer file");
    }
    const auto& token = row[0].get_ref<const std::string&>();
    scores_.push_back(row[1].get<double>());
    lowest = std::min(lowest, scores_.back());
    vocabulary.add_again(token, id, spec);
    if (!token.empty()) tokens_.set(token, id);
  }
  unknown_score_ = lowest - kUnknownPenalty;
}

void Unigram::find_steps(std::string_view piece, std::vector<Step>& steps) const {
  steps.assign(piece.size() + 1, {});
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t character = utf8_at(piece, at).length;
    const double score_here = steps[at].score;
    const auto offer = [&](std::size_t length, double score, std::int32_t id) {
      Step& target = steps[at + length];
      const bool better = target.begin < 0 || score + score_here > target.score;
      if (better) target = {score + score_here, static_cast<std::int64_t>(at), id};
      return better;
    };
    bool is_token = false;
    tokens_.for_each_prefix(piece.substr(at), [&](std::size_t length, std::int32_t id) {
      offer(length, scores_[static_cast<std::size_t>(id)], id);
      is_token = is_token || length == character;
    });
    if (!is_token && offer(character, unknown_score_, unknown_) && unknown_ < 0) {
      throw Error(where_ + " has no token for \"" + std::string(piece.substr(at, character)) + "\" and no unknown token",
                  "set unk_id in the tokenizer file, or leave the character out of the text");
    }
    at += character;
  }
}

void Unigram::tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const {
  std::vector<Step> steps;
  std::vector<std::size_t> ends;  // of the tokens, the last first; then 0
  for (const Pieces::Piece& piece : pieces.pieces) {
    const std::string_view text = pieces.view(piece);
    find_steps(text, steps);
    ends.assign(1, text.size());
    while (ends.back() > 0) ends.push_back(static_cast<std::size_t>(steps[ends.back()].begin));
    for (std::size_t i = ends.size() - 1; i > 0; --i) {
      std::size_t end = ends[i - 1];
      const std::int32_t id = steps[end].id;
      if (id != unknown_) {
        ids.push_back(id);
        continue;
      }
      const std::size_t begin = ends[i];
      while (i > 1 && steps[ends[i - 2]].id == unknown_) end = ends[--i - 1];
      append_unknown(text.substr(begin, end - begin), ids);
    }
  }
}

// A run of characters that are no tokens may be a token as a whole, since HF looks it up again.
void Unigram::append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const {
  if (const auto whole = vocabulary_->id(text)) {
    ids.push_back(*whole);
  } else if (!byte_ids_ || !append_byte_tokens(*byte_ids_, text, ids)) {
    ids.push_back(unknown_);
  }
}

}  // namespace sluice::text
