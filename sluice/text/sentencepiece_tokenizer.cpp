#include "sluice/text/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include "sluice/base/error.h"
#include "sluice/text/special_ids.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

std::optional<std::int32_t> present(int id) { return id < 0 ? std::nullopt : std::optional<std::int32_t>(id); }

// Its messages quote a broken model's bytes.
std::string message_of(const sentencepiece::util::Status& status) { return to_valid_utf8(status.ToString()); }

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(const fs::path& path) : where_(path.string()) {
  auto processor = std::make_unique<sentencepiece::SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto(read_file(path));
  if (!status.ok()) {
    throw Error(where_ + " is not a SentencePiece model: " + message_of(status), "copy or download the file again");
  }
  processor_ = std::move(processor);
  special_ = {present(processor_->bos_id()), present(processor_->eos_id()), present(processor_->pad_id())};
  const SpecialIds beside = read_special_ids(path.parent_path(), *this);
  if (beside.bos) special_.bos = beside.bos;
  if (beside.eos) special_.eos = beside.eos;
  if (beside.pad) special_.pad = beside.pad;
}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

std::vector<std::int32_t> SentencePieceTokenizer::encode(std::string_view text, SpecialTokens add) const {
  require_utf8(text, "the text");
  std::vector<int> ids;
  const auto status = processor_->Encode(text, &ids);
  if (!status.ok()) throw Error(where_ + " cannot encode a text: " + message_of(status), "check that the model is whole");
  if (add == SpecialTokens::kAdd && processor_->bos_id() >= 0) ids.insert(ids.begin(), processor_->bos_id());
  return ids;
}

std::string SentencePieceTokenizer::decode(std::span<const std::int32_t> ids, DecodeSpecial) const {
  std::vector<int> known;
  known.reserve(ids.size());
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < processor_->GetPieceSize()) known.push_back(id);
  }
  std::string text;
  const auto status = processor_->Decode(known, &text);
  if (!status.ok()) throw Error(where_ + " cannot decode ids: " + message_of(status), "check that the model is whole");
  return text;
}

std::int64_t SentencePieceTokenizer::vocab_size() const { return processor_->GetPieceSize(); }

std::optional<std::int32_t> SentencePieceTokenizer::token_id(std::string_view token) const {
  const int id = processor_->PieceToId(token);  // the unknown token's id for what is no piece
  return processor_->IdToPiece(id) == token ? present(id) : std::nullopt;
}

std::string SentencePieceTokenizer::token(std::int32_t id) const {
  return id >= 0 && id < processor_->GetPieceSize() ? processor_->IdToPiece(id) : "";
}

}  // namespace sluice::text
