#include "sluice/text/bpe.h"

#include <algorithm>
#include <cstdio>

#include "sluice/text/utf8.h"

namespace sluice::text {

Bpe::Bpe(const ComponentSpec& spec, Vocabulary& vocabulary)
    : vocabulary_(&vocabulary),
      continuing_prefix_(spec.text_or("continuing_subword_prefix", "")),
      end_suffix_(spec.text_or("end_of_word_suffix", "")),
      fuse_unknown_(spec.flag_or("fuse_unk", false)),
      ignore_merges_(spec.flag_or("ignore_merges", false)) {
  if (spec.has("dropout") && !(spec.value("dropout").is_number() && spec.value("dropout").get<double>() == 0.0)) {
    spec.fail("has dropout " + dump_json(spec.value("dropout")) + ", which would make ids random", "set dropout to null");
  }
  const Json& tokens = spec.value("vocab");
  if (!tokens.is_object() || tokens.empty()) spec.fail("has a \"vocab\" that is not an object of tokens", "use a whole tokenizer file");
  for (const auto& [token, id] : tokens.items()) vocabulary.add(token, checked_id(id, spec), spec);
  if (spec.has("unk_token")) {
    unknown_ = vocabulary.id(spec.text("unk_token"));
    if (!unknown_)
      spec.fail("has the unk_token \"" + spec.text("unk_token") + "\", which is not in its vocab", "add it, or set it to null");
  }
  read_merges(spec);
  if (spec.flag_or("byte_fallback", false)) {
    byte_ids_.emplace();
    for (unsigned byte = 0; byte < 256; ++byte) {
      char name[8];
      std::snprintf(name, sizeof name, "<0x%02X>", byte);
      (*byte_ids_)[byte] = vocabulary.id(name).value_or(-1);
    }
  }
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
    symbols.clear();
    add_characters(text, symbols);
    merges_.apply(symbols, scratch);
    ids.insert(ids.end(), symbols.begin(), symbols.end());
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
    const auto byte_id = [&](char byte) { return (*byte_ids_)[static_cast<unsigned char>(byte)]; };
    if (byte_ids_ && std::all_of(character.begin(), character.end(), [&](char byte) { return byte_id(byte) >= 0; })) {
      for (const char byte : character) add(byte_id(byte));
      continue;
    }
    if (!unknown_) continue;
    if (unknown_waits && !fuse_unknown_) add(*unknown_);
    unknown_waits = true;
  }
  if (unknown_waits) add(*unknown_);
}

}  // namespace sluice::text
