#include "sluice/text/stream_decoder.h"

namespace sluice::text {
namespace {

// A character has at most 4 bytes, so at most 4 tokens; more that still do not end well are no character, or have no text at all.
constexpr std::size_t kMaxWaiting = 64;

}  // namespace

// What the waiting tokens add to the text of those already shown.
std::string StreamDecoder::waiting_text() const {
  const std::span<const std::int32_t> ids(ids_);
  const std::string shown = tokenizer_->decode(ids.first(num_shown_), special_), all = tokenizer_->decode(ids, special_);
  // Broken bytes can change how the bytes before them decode; then the waiting tokens stand alone.
  return all.starts_with(shown) ? all.substr(shown.size()) : tokenizer_->decode(ids.subspan(num_shown_), special_);
}

std::string StreamDecoder::push(std::int32_t id) {
  ids_.push_back(id);
  std::string text = waiting_text();
  const bool whole = !text.empty() && !text.ends_with("\uFFFD");
  if (!whole && ids_.size() - num_shown_ < kMaxWaiting) return "";
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(num_shown_));
  num_shown_ = ids_.size();
  return text;
}

std::string StreamDecoder::flush() {
  std::string text = waiting_text();
  ids_.clear();
  num_shown_ = 0;
  return text;
}

}  // namespace sluice::text
