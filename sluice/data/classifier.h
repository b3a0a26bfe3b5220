// The question classifier: a linear model over hashed features that tells a question's category.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/data/categories.h"
#include "sluice/data/classifier_features.h"

namespace sluice::data {

// Weights of one feature, a category each.
using FeatureWeights = std::array<std::int8_t, kNumCategories>;

// The model, read-only: one may serve many threads. Integer weights, so a question has the same label on every machine.
class QuestionClassifier {
 public:
  static constexpr std::uint32_t kNumBuckets = 1u << 18;  // a power of two; features share a bucket where their hashes' low bits are equal

  // Quantises `weights` [kNumBuckets, kNumCategories] to 8 bits.
  QuestionClassifier(Lexicon lexicon, const std::vector<std::array<float, kNumCategories>>& weights);

  // Reads a model file. Error when it is missing, truncated, damaged or of another version.
  static QuestionClassifier load(const fs::path& model_file);

  // Writes, whole or not at all: a line of JSON {"format", "version", "categories", "num_buckets", "num_words"}, a line end; num_words x
  // (uint32 hash, uint8 class) by rising hash; num_buckets x num_categories int8; the CRC-32C of all before it. Little-endian.
  void save(const fs::path& model_file) const;

  // Working memory of one thread.
  struct Scratch {
    QuestionWords words;
    FeatureExtractor extractor;
    std::vector<std::uint32_t> features;
  };

  // The category index of `question`.
  int classify(std::string_view question, Scratch& scratch) const;

 private:
  QuestionClassifier() = default;
  Lexicon lexicon_;
  std::vector<FeatureWeights> weights_;
};

}  // namespace sluice::data
