#include "sluice/text/word_models.h"

#include <algorithm>

namespace sluice::text {

WordLevel::WordLevel(const ComponentSpec& spec, Vocabulary& vocabulary)
    : vocabulary_(&vocabulary), where_(spec.where()), unknown_name_(spec.text("unk_token")) {
  vocabulary.add_all(spec);
  unknown_ = vocabulary.id(unknown_name_);
}

std::int32_t WordLevel::unknown_for(std::string_view piece) const {
  if (unknown_) return *unknown_;
  throw Error(where_ + " has no token for \"" + std::string(piece) + "\", and its unk_token \"" + unknown_name_ + "\" is not in its vocab",
              "add the unknown token to the vocabulary, or leave the word out of the text");
}

void WordLevel::tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const {
  for (const Pieces::Piece& piece : pieces.pieces) {
    const auto id = vocabulary_->id(pieces.view(piece));
    ids.push_back(id ? *id : unknown_for(pieces.view(piece)));
  }
}

WordPiece::WordPiece(const ComponentSpec& spec, Vocabulary& vocabulary)
    : words_(spec, vocabulary),
      continuing_prefix_(spec.text("continuing_subword_prefix")),
      max_characters_(spec.integer("max_input_chars_per_word")) {}

void WordPiece::tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const {
  for (const Pieces::Piece& piece : pieces.pieces) {
    const std::string_view text = pieces.view(piece);
    const auto characters =
        std::count_if(text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; });
    if (characters > max_characters_ || !append_parts(text, ids)) ids.push_back(words_.unknown_for(text));
  }
}

// False, with `ids` as they were, when a part is no token.
bool WordPiece::append_parts(std::string_view piece, std::vector<std::int32_t>& ids) const {
  const std::size_t count = ids.size();
  std::string part;
  for (std::size_t begin = 0; begin < piece.size();) {
    std::optional<std::int32_t> id;
    std::size_t end = piece.size();
    for (; end > begin; --end) {
      if (end < piece.size() && (static_cast<unsigned char>(piece[end]) & 0xC0) == 0x80) continue;  // within a character
      part.assign(begin > 0 ? continuing_prefix_ : "").append(piece.substr(begin, end - begin));
      if ((id = words_.vocabulary_->id(part))) break;
    }
    if (!id) {
      ids.resize(count);
      return false;
    }
    ids.push_back(*id);
    begin = end;
  }
  return true;
}

}  // namespace sluice::text
