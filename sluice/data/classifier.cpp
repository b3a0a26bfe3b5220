#include "sluice/data/classifier.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"
#include "sluice/base/json.h"

namespace sluice::data {
namespace {

constexpr const char* kFormat = "sluice-question-classifier";
constexpr int kVersion = 1;
constexpr std::size_t kEntryBytes = 5;

static_assert(std::endian::native == std::endian::little, "model files are read and written as they lie in memory");

Json header_of(std::size_t num_words) {
  return {{"format", kFormat},
          {"version", kVersion},
          {"categories", kCategoryNames},
          {"num_buckets", QuestionClassifier::kNumBuckets},
          {"num_words", num_words}};
}

[[noreturn]] void damaged(const fs::path& file, const std::string& why) {
  throw Error(file.string() + " is not a question classifier of this version: " + why,
              "restore the file that came with Sluice, or make one with `sluice data train-classifier`");
}

std::uint32_t checksum(std::string_view bytes) { return crc32c(std::as_bytes(std::span(bytes))); }

}  // namespace

QuestionClassifier::QuestionClassifier(Lexicon lexicon, const std::vector<std::array<float, kNumCategories>>& weights)
    : lexicon_(std::move(lexicon)), weights_(kNumBuckets) {
  SLUICE_CHECK(weights.size() == kNumBuckets, "one row of weights a bucket");
  std::vector<float> sizes;
  for (const auto& row : weights) {
    for (const float weight : row) {
      if (weight != 0.0f) sizes.push_back(std::abs(weight));
    }
  }
  if (sizes.empty()) return;
  // The few largest weights are cut, so that the step between 8-bit values stays fine for the many.
  const auto top = sizes.begin() + static_cast<std::ptrdiff_t>(0.9995 * static_cast<double>(sizes.size() - 1));
  std::nth_element(sizes.begin(), top, sizes.end());
  const float scale = 127.0f / *top;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    for (std::size_t k = 0; k < weights[i].size(); ++k) {
      weights_[i][k] = static_cast<std::int8_t>(std::lround(std::clamp(weights[i][k] * scale, -127.0f, 127.0f)));
    }
  }
}

QuestionClassifier QuestionClassifier::load(const fs::path& model_file) {
  const std::string bytes = read_file(model_file);
  const std::size_t line_end = bytes.find('\n');
  if (line_end == std::string::npos || line_end > 4096) damaged(model_file, "it has no header line");
  const Json header = Json::parse(bytes.substr(0, line_end), nullptr, false);
  if (!header.is_object() || !header.contains("num_words") || !header["num_words"].is_number_unsigned())
    damaged(model_file, "its header is not ours");
  const auto num_words = header["num_words"].get<std::size_t>();
  if (header != header_of(num_words)) damaged(model_file, "its header is " + header.dump());
  const std::size_t weight_bytes = kNumBuckets * sizeof(FeatureWeights);
  if (num_words > bytes.size() || bytes.size() != line_end + 1 + num_words * kEntryBytes + weight_bytes + sizeof(std::uint32_t)) {
    damaged(model_file, "it has " + std::to_string(bytes.size()) + " bytes, which does not fit its header");
  }
  std::uint32_t expected = 0;
  const std::size_t body = bytes.size() - sizeof expected;
  std::memcpy(&expected, bytes.data() + body, sizeof expected);
  if (checksum(std::string_view(bytes).substr(0, body)) != expected) damaged(model_file, "its checksum is wrong");

  std::vector<Lexicon::Entry> entries(num_words);
  const char* at = bytes.data() + line_end + 1;
  for (Lexicon::Entry& entry : entries) {
    std::memcpy(&entry.first, at, sizeof entry.first);
    if (at[4] != static_cast<char>(WordClass::kCommon) && at[4] != static_cast<char>(WordClass::kGrammar))
      damaged(model_file, "a word has no class");
    entry.second = static_cast<WordClass>(at[4]);
    at += kEntryBytes;
  }
  QuestionClassifier classifier;
  classifier.lexicon_ = Lexicon(std::move(entries));
  classifier.weights_.resize(kNumBuckets);
  std::memcpy(classifier.weights_.data(), at, weight_bytes);
  return classifier;
}

void QuestionClassifier::save(const fs::path& model_file) const {
  std::string bytes = dump_json(header_of(lexicon_.entries().size())) + '\n';
  for (const auto& [hash, word_class] : lexicon_.entries()) {
    bytes.append(reinterpret_cast<const char*>(&hash), sizeof hash);
    bytes.push_back(static_cast<char>(word_class));
  }
  bytes.append(reinterpret_cast<const char*>(weights_.data()), weights_.size() * sizeof(FeatureWeights));
  const std::uint32_t sum = checksum(bytes);
  bytes.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  write_file_atomic(model_file, bytes);
}

int QuestionClassifier::classify(std::string_view question, Scratch& scratch) const {
  scratch.words.assign(question);
  scratch.extractor.extract(scratch.words.words(), lexicon_, scratch.features);
  std::array<int, kNumCategories> scores{};
  for (const std::uint32_t feature : scratch.features) {
    const FeatureWeights& weights = weights_[feature & (kNumBuckets - 1)];
    for (std::size_t k = 0; k < scores.size(); ++k) scores[k] += weights[k];
  }
  return static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

}  // namespace sluice::data
