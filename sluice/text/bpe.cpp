#include "sluice/text/bpe.h"

#include <algorithm>
#include <cstdio>

#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

// Up to this many symbols, looking at every pair each time is faster than a heap.
constexpr std::size_t kFewSymbols = 24;

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
  merges_ = PairTable<Merge>(merges.size());
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
    merges_.set(*left_id, *right_id, {rank++, *id});
  }
}

void Bpe::tokenize(const Pieces& pieces, std::vector<std::int32_t>& ids) const {
  Scratch scratch;
  for (const Pieces::Piece& piece : pieces.pieces) {
    const std::string_view text = pieces.view(piece);
    if (ignore_merges_) {
      if (const auto whole = vocabulary_->id(text)) {
        ids.push_back(*whole);
        continue;
      }
    }
    scratch.symbols.clear();
    add_characters(text, scratch.symbols);
    if (scratch.symbols.size() <= kFewSymbols) {
      merge_few(merges_, scratch.symbols);
    } else {
      merge_many(merges_, scratch);
    }
    for (const Symbol& symbol : scratch.symbols) {
      if (symbol.id >= 0) ids.push_back(symbol.id);
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

void Bpe::add_characters(std::string_view piece, std::vector<Symbol>& symbols) const {
  const auto add = [&](std::int32_t id) { symbols.push_back({id, -1, -1}); };
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

// Looks for the best pair among all, joins it, closes the gap, until none is left.
void Bpe::merge_few(const PairTable<Merge>& merges, std::vector<Symbol>& symbols) {
  constexpr Merge kNone = {INT32_MAX, -1};
  std::array<Merge, kFewSymbols> pairs;  // of symbol i and i + 1
  const auto look_up = [&](std::size_t i) {
    const Merge* merge = i + 1 < symbols.size() ? merges.find(symbols[i].id, symbols[i + 1].id) : nullptr;
    pairs[i] = merge == nullptr ? kNone : *merge;
  };
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) look_up(i);
  while (symbols.size() > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < symbols.size(); ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNone.rank) return;
    symbols[best].id = pairs[best].id;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    for (std::size_t i = best + 1; i + 1 < symbols.size(); ++i) pairs[i] = pairs[i + 1];
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
}

// A heap of candidate pairs over a linked list; a candidate whose symbols have changed since is dropped when it comes up.
void Bpe::merge_many(const PairTable<Merge>& merges, Scratch& scratch) {
  auto& [symbols, heap] = scratch;
  const auto later = [](const Candidate& a, const Candidate& b) { return a.rank != b.rank ? a.rank > b.rank : a.position > b.position; };
  const auto offer = [&](std::int32_t position) {
    const Symbol& left = symbols[static_cast<std::size_t>(position)];
    if (left.next < 0) return false;
    const Merge* merge = merges.find(left.id, symbols[static_cast<std::size_t>(left.next)].id);
    if (merge != nullptr) heap.push_back({merge->rank, position, merge->id});
    return merge != nullptr;
  };
  const auto count = static_cast<std::int32_t>(symbols.size());
  heap.clear();
  for (std::int32_t i = 0; i < count; ++i) {
    symbols[static_cast<std::size_t>(i)].previous = i - 1;
    symbols[static_cast<std::size_t>(i)].next = i + 1 < count ? i + 1 : -1;
  }
  for (std::int32_t i = 0; i < count; ++i) offer(i);
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = symbols[static_cast<std::size_t>(best.position)];
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    const Merge* merge = merges.find(left.id, right.id);
    if (merge == nullptr || merge->id != best.id) continue;
    left.id = best.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = best.position;
    if (offer(best.position)) std::push_heap(heap.begin(), heap.end(), later);
    if (left.previous >= 0 && offer(left.previous)) std::push_heap(heap.begin(), heap.end(), later);
  }
}

}  // namespace sluice::text
