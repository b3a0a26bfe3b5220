#include "sluice/data/row_hash.h"

namespace sluice::data {
namespace {

constexpr std::uint64_t kFnvBasis = 14695981039346656037ull, kFnvPrime = 1099511628211ull;  // FNV-1a, 64 bits

std::uint64_t add(std::uint64_t hash, std::string_view bytes) {
  for (const char c : bytes) hash = (hash ^ static_cast<std::uint8_t>(c)) * kFnvPrime;
  return hash;
}

}  // namespace

std::uint64_t QuestionHasher::hash(const JsonRows& rows) {
  const JsonRow::Member* question = rows.row().find("question");
  if (!question || !decode_string(question->value, text_)) return add(kFnvBasis, rows.line());
  words_.assign(text_);
  if (words_.words().empty()) return add(kFnvBasis, rows.line());
  std::uint64_t hash = kFnvBasis;
  for (const Word& word : words_.words()) hash = add(add(hash, word.text), " ");
  return hash;
}

}  // namespace sluice::data
