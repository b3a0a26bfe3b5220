#include "sluice/text/stream_decoder.h"

namespace sluice::text {
namespace {

// A character has at most 4 bytes, so at most 4 tokens; more that still do not end well are no character, or have no text at all.
constexpr std::size_t kMaxWaiting = 64;

}  // namespace

std::string StreamDecoder::push(std::int32_t id) {
  ids_.push_back(id);
  const std::string text = tokenizer_->decode(ids_, special_);
  const std::size_t shown_bytes = tokenizer_->decode({ids_.data(), num_shown_}, special_).size();
  const bool whole = text.size() > shown_bytes && !text.ends_with("\uFFFD");
  if (!whole && ids_.size() - num_shown_ < kMaxWaiting) return "";
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(num_shown_));
  num_shown_ = ids_.size();
  return shown_bytes < text.size() ? text.substr(shown_bytes) : "";
}

std::string StreamDecoder::flush() {
  const std::string text = tokenizer_->decode(ids_, special_);
  const std::size_t shown_bytes = tokenizer_->decode({ids_.data(), num_shown_}, special_).size();
  ids_.clear();
  num_shown_ = 0;
  return shown_bytes < text.size() ? text.substr(shown_bytes) : "";
}

}  // namespace sluice::text
