#include "sluice/text/hf_tokenizer.h"

#include "sluice/text/special_ids.h"
#include "sluice/text/utf8.h"

namespace sluice::text {

HfTokenizer::HfTokenizer(const fs::path& path) : HfTokenizer(parse_json(read_file_gz(path), path.string()), path.string()) {
  special_ = read_special_ids(path.parent_path(), *this);
}

HfTokenizer::HfTokenizer(const Json& json, const std::string& where) {
  const ComponentSpec spec(json, where);
  model_ = make_model(spec.child("model"), vocabulary_);
  if (spec.has("normalizer")) normalizer_ = make_normalizer(spec.child("normalizer"));
  if (spec.has("pre_tokenizer")) pre_tokenizer_ = make_pre_tokenizer(spec.child("pre_tokenizer"));
  if (spec.has("post_processor")) post_processor_ = make_post_processor(spec.child("post_processor"));
  if (spec.has("decoder")) decoder_ = make_decoder(spec.child("decoder"));
  if (spec.has("added_tokens")) read_added_tokens(spec);
}

void HfTokenizer::read_added_tokens(const ComponentSpec& spec) {
  for (const ComponentSpec& item : spec.children("added_tokens")) {
    AddedToken token;
    token.content = item.text("content");
    if (token.content.empty()) continue;  // can match nothing
    token.id = checked_id(item.value("id"), item);
    token.special = item.flag_or("special", false);
    token.single_word = item.flag_or("single_word", false);
    token.left_strip = item.flag_or("lstrip", false);
    token.right_strip = item.flag_or("rstrip", false);
    token.normalized = item.flag_or("normalized", !token.special);
    const bool known = vocabulary_.id(token.content) || vocabulary_.token(token.id) != nullptr;
    (known ? vocabulary_ : added_).add(token.content, token.id, item);
    is_special_.resize(static_cast<std::size_t>(vocab_size()), false);
    is_special_[static_cast<std::size_t>(token.id)] = token.special;
    if (!token.normalized) {
      in_raw_text_.add(token);
      continue;
    }
    // Looked for in normalized text, so in its own normalized form.
    if (normalizer_) {
      token.content = normalizer_->normalize(std::move(token.content));
      normalized_spelling_[token.id] = token.content;
    }
    if (!token.content.empty()) in_normalized_text_.add(token);
  }
}

std::vector<std::int32_t> HfTokenizer::encode(std::string_view text, SpecialTokens add) const {
  require_utf8(text, "the text");
  std::vector<std::int32_t> ids;
  Pieces pieces;
  for (const TokenFinder::Part& raw : in_raw_text_.find(text)) {
    if (raw.id >= 0) {
      ids.push_back(raw.id);
      continue;
    }
    std::string normalized(text.substr(raw.begin, raw.end - raw.begin));
    if (normalizer_) normalized = normalizer_->normalize(std::move(normalized));
    for (const TokenFinder::Part& part : in_normalized_text_.find(normalized)) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      pieces.text.assign(normalized, part.begin, part.end - part.begin);
      pieces.pieces.assign(1, {0, pieces.text.size(), raw.begin == 0 && part.begin == 0});
      if (pre_tokenizer_) pre_tokenizer_->apply(pieces);
      model_->tokenize(pieces, ids);
    }
  }
  if (add == SpecialTokens::kAdd && post_processor_) ids = post_processor_->apply(std::move(ids));
  return ids;
}

std::string HfTokenizer::decode(std::span<const std::int32_t> ids, DecodeSpecial special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const std::int32_t id : ids) {
    const std::string* token = spelling(id);
    if (token == nullptr) continue;
    const auto index = static_cast<std::size_t>(id);
    if (special == DecodeSpecial::kSkip && index < is_special_.size() && is_special_[index]) continue;
    const auto normalized = normalized_spelling_.find(id);
    tokens.push_back(normalized == normalized_spelling_.end() ? *token : normalized->second);
  }
  if (decoder_) decoder_->decode(tokens);
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && !decoder_) text += ' ';  // as HF does for want of a decoder
    text += tokens[i];
  }
  return text;
}

std::optional<std::int32_t> HfTokenizer::token_id(std::string_view token) const {
  const auto id = vocabulary_.id(token);
  return id ? id : added_.id(token);
}

const std::string* HfTokenizer::spelling(std::int32_t id) const {
  const std::string* token = vocabulary_.token(id);
  return token != nullptr ? token : added_.token(id);
}

std::string HfTokenizer::token(std::int32_t id) const {
  const std::string* token = spelling(id);
  return token == nullptr ? "" : *token;
}

}  // namespace sluice::text
