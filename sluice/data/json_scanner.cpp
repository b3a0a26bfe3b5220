#include "sluice/data/json_scanner.h"

namespace sluice::data {
namespace {

constexpr int kMaxDepth = 512;  // the walk recurses: hostile nesting must not exhaust the stack

}  // namespace

void JsonScanner::skip_space() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
}

bool JsonScanner::take(char c) {
  if (at_ >= text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

bool JsonScanner::skip_string() {
  if (!take('"')) return false;
  while (at_ < text_.size()) {
    const unsigned char c = static_cast<unsigned char>(text_[at_]);
    if (c == '"') {
      ++at_;
      return true;
    }
    if (c < 0x20) return false;
    if (c == '\\') {
      if (!skip_escape()) return false;
    } else if (c >= 0x80) {
      if (!skip_utf8()) return false;
    } else {
      ++at_;
    }
  }
  return false;
}

bool JsonScanner::skip_escape() {
  ++at_;
  if (at_ >= text_.size()) return false;
  const char c = text_[at_++];
  if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
  unsigned first = 0, second = 0;
  if (!read_hex4(first)) return false;
  if (first < 0xD800 || first > 0xDFFF) return true;
  // A high surrogate must be followed by a low one.
  return first < 0xDC00 && take('\\') && take('u') && read_hex4(second) && second >= 0xDC00 && second <= 0xDFFF;
}

bool JsonScanner::read_hex4(unsigned& value) {
  if (text_.size() - at_ < 4) return false;
  value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = text_[at_++];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return false;
    value = value * 16 + static_cast<unsigned>(digit);
  }
  return true;
}

// RFC 3629: the shortest form only, no surrogates, nothing above U+10FFFF.
bool JsonScanner::skip_utf8() {
  const auto byte = [&](std::size_t i) { return at_ + i < text_.size() ? static_cast<unsigned char>(text_[at_ + i]) : 0u; };
  const unsigned lead = byte(0);
  const std::size_t length = lead >= 0xC2 && lead <= 0xDF ? 2 : lead >= 0xE0 && lead <= 0xEF ? 3 : lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
  if (length == 0) return false;
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return false;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return false;
  }
  at_ += length;
  return true;
}

bool JsonScanner::skip_value(int depth) {
  if (at_ >= text_.size() || depth > kMaxDepth) return false;
  switch (text_[at_]) {
    case '"':
      return skip_string();
    case '{':
      return skip_members('}', depth);
    case '[':
      return skip_members(']', depth);
    case 't':
      return skip_literal("true");
    case 'f':
      return skip_literal("false");
    case 'n':
      return skip_literal("null");
    default:
      return skip_number();
  }
}

bool JsonScanner::skip_members(char close, int depth) {
  ++at_;
  skip_space();
  if (take(close)) return true;
  for (;;) {
    if (close == '}') {
      if (!skip_string()) return false;
      skip_space();
      if (!take(':')) return false;
      skip_space();
    }
    if (!skip_value(depth + 1)) return false;
    skip_space();
    if (take(close)) return true;
    if (!take(',')) return false;
    skip_space();
  }
}

bool JsonScanner::skip_literal(std::string_view literal) {
  if (text_.substr(at_, literal.size()) != literal) return false;
  at_ += literal.size();
  return true;
}

bool JsonScanner::skip_digits() {
  const std::size_t start = at_;
  while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
  return at_ > start;
}

bool JsonScanner::skip_number() {
  take('-');
  if (!take('0') && !skip_digits()) return false;
  if (take('.') && !skip_digits()) return false;
  if (take('e') || take('E')) {
    if (!take('+')) take('-');
    return skip_digits();
  }
  return true;
}

}  // namespace sluice::data
