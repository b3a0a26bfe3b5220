#include "sluice/text/bpe.h"

#include <algorithm>

#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

constexpr std::string_view kWordMark = "\u2581";  // SentencePiece's space

// Where the word that begins at `begin` ends: before the next mark that does not follow another.
std::size_t end_of_word(std::string_view text, std::size_t begin) {
  std::size_t at = begin;
  while (text.substr(at).starts_with(kWordMark)) at += kWordMark.size();
  return std::min(text.find(kWordMark, at), text.size());
}

}  // namespace

Bpe::Bpe(const ComponentSpec& spec, Vocabulary& vocabulary)
    : vocabulary_(&vocabulary),
      continuing_prefix_(spec.text_or("continuing_subword_prefix", "")),
      end_suffix_(spec.text_or("end_of_word_suffix", "")),
      fuse_unknown_(spec.flag_or("fuse_unk", false)),
      ignore_merges_(spec.flag_or("ignore_merges", false)) {
  if (spec.has("dropout") && !(spec.value("dropout").is_number() && spec.value("dropout").get<double>() == 0.0)) {
    spec.fail("has dropout " + dump_json(spec.value("dropout")) + ", which would make ids random", "set dropout to null");
  }
  vocabulary.add_all(spec);
  if (spec.has("unk_token")) {
    unknown_ = vocabulary.id(spec.text("unk_token"));
    if (!unknown_)
      spec.fail("has the unk_token \"" + spec.text("unk_token") + "\", which is not in its vocab", "add it, or set it to null");
  }
  read_merges(spec);
  if (spec.flag_or("byte_fallback", false)) byte_ids_ = byte_token_ids(vocabulary);
  for (char32_t code = 0; code < short_ids_.size(); ++code) {
    std::string character;
    append_utf8(character, code);
    short_ids_[code] = vocabulary.id(character).value_or(-1);
  }
}

void Bpe::read_merges(const ComponentSpec& spec) {
  const Json& merges = spec.value("merges");
  if (!merges.is_array()) spec.fail("has \"merges\" that are not an array", "use a whole tokenizer file");
  merges_ = BpeMerges(merges.size());
  // Where no merge has a word mark after another character, each word of a text can be merged alone: far faster where a whole text is one
  // piece. The mark is a token, so that runs of unknown characters, which may fuse, end at it too.
  words_are_apart_ = vocabulary_->id(kWordMark) && continuing_prefix_.empty() && end_suffix_.empty();
  std::int32_t rank = 0;
  std::string joined;
  for (const Json& merge : merges) {
    std::string_view left, right;
    if (merge.is_string()) {
      const std::string_view line = merge.get_ref<const std::string&>();
      if (line.starts_with("#version")) continue;
      const std::size_t space = line.find(' ');
      if (space != std::string_view::npos && line.find(' ', space + 1) == std::string_view::npos) {
        left = line.substr(0, space);
        right = line.substr(space + 1);
      }
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get_ref<const std::string&>();
      right = merge[1].get_ref<const std::string&>();
    }
    const auto place = [&] {
      return "has the merge " + dump_json(merge).substr(0, 200) + " (number " + std::to_string(rank) + "), which ";
    };
    if (left.empty() || right.empty()) spec.fail(place() + "is not two tokens", "mend the tokenizer file");
    if (right.starts_with(continuing_prefix_)) {
      joined.assign(left).append(right.substr(continuing_prefix_.size()));
    } else {
      spec.fail(place() + "has a second part without the prefix \"" + continuing_prefix_ + "\"", "mend the tokenizer file");
    }
    const auto left_id = vocabulary_->id(left), right_id = vocabulary_->id(right), id = vocabulary_->id(joined);
    if (!left_id || !right_id || !id) {
      const std::string_view missing = !left_id ? left : !right_id ? right : std::string_view(joined);
      spec.fail(place() + "needs the token \"" + std::string(missing) + "\", which vocab lacks",
                "use the vocab and merges of one tokenizer");
    }
    merges_.set(*left_id, *right_id, rank++, *id);
    words_are_apart_ = words_are_apart_ && end_of_word(joined, 0) == joined.size();
  }
}

void Bpe::tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const {
  BpeMerges::Scratch scratch;
  std::vector<std::int32_t> symbols;
  for (const Pieces::Piece& piece : pieces.pieces) {
    const std::string_view text = pieces.view(piece);
    if (ignore_merges_) {
      if (const auto whole = vocabulary_->id(text)) {
        ids.push_back(*whole);
        continue;
      }
    }
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = words_are_apart_ ? end_of_word(text, begin) : text.size();
      symbols.clear();
      add_characters(text.substr(begin, end - begin), symbols);
      merges_.apply(symbols, scratch);
      ids.insert(ids.end(), symbols.begin(), symbols.end());
      begin = end;
    }
  }
}

std::int32_t Bpe::character_id(std::string_view character, bool is_first, bool is_last) const {
  const bool plain = (is_first || continuing_prefix_.empty()) && (!is_last || end_suffix_.empty());
  if (plain) {
    const Utf8Char decoded = utf8_at(character, 0);
    if (decoded.code < short_ids_.size()) return short_ids_[decoded.code];
    return vocabulary_->id(character).value_or(-1);
  }
  const std::string whole = (is_first ? "" : continuing_prefix_) + std::string(character) + (is_last ? end_suffix_ : "");
  return vocabulary_->id(whole).value_or(-1);
}

void Bpe::add_characters(std::string_view piece, std::vector<std::int32_t>& symbols) const {
  const auto add = [&](std::int32_t id) { symbols.push_back(id); };
  bool unknown_waits = false;  // an unknown character, not yet added because the next may fuse with it
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t length = utf8_at(piece, at).length;
    const std::string_view character = piece.substr(at, length);
    const std::int32_t id = character_id(character, at == 0, at + length == piece.size());
    at += length;
    if (id >= 0) {
      if (unknown_waits) add(*unknown_);
      unknown_waits = false;
      add(id);
      continue;
    }
    if (byte_ids_ && append_byte_tokens(*byte_ids_, character, symbols)) continue;
    if (!unknown_) continue;
    if (unknown_waits && !fuse_unknown_) add(*unknown_);
    unknown_waits = true;
  }
  if (unknown_waits) add(*unknown_);
}

}  // namespace sluice::text
