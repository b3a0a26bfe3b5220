#include "sluice/data/config.h"

#include "sluice/data/instruct/blend.h"

namespace sluice::data {
namespace {

constexpr std::int64_t kQaPromptTokens = 64, kQaAnswerTokens = 32;

template <class E>
std::string name_of(E value) {
  return std::string(names(value)[static_cast<std::size_t>(value)]);
}

}  // namespace

DataConfig DataConfig::with_defaults() const {
  DataConfig out = *this;
  if (format == Format::kQa && out.seq_length == 0) out.seq_length = kQaPromptTokens;
  if (format == Format::kQa && out.max_target_length == 0) out.max_target_length = kQaAnswerTokens;
  return out;
}

void DataConfig::check(Violations& violations) const {
  const DataConfig given = with_defaults();
  for (const auto& [name, value] : {std::pair("seq_length", given.seq_length), std::pair("max_target_length", given.max_target_length),
                                    std::pair("max_samples", max_samples), std::pair("validation_samples", validation_samples)}) {
    if (value < 0)
      violations.add("data." + std::string(name) + " = " + std::to_string(value) + " is negative",
                     "give a positive number, or 0 for the default");
  }
  if ((format == Format::kText || has_conversations(format)) && seq_length >= 0 && seq_length < 2) {
    violations.add("data.seq_length = " + std::to_string(seq_length) + " is too short for format " + name_of(format),
                   "give the tokens of a row, at least 2, for example data.seq_length=512");
  }
  if (format == Format::kQa && given.max_target_length == 1) {
    violations.add("data.max_target_length = 1 leaves no room for an answer and its end token", "give at least 2; 32 is the default");
  }
  if (format != Format::kText && packing == Packing::kConcat) {
    violations.add("data.packing = concat has no meaning for format " + name_of(format),
                   has_conversations(format) ? "use packing best_fit, which keeps conversations whole" : "use packing none, or format text");
  }
  if (!has_conversations(format) && packing == Packing::kBestFit) {
    violations.add("data.packing = best_fit has no meaning for format " + name_of(format),
                   format == Format::kText ? "use packing concat" : "use packing none");
  }
  if (packing == Packing::kBestFit && instruct.length_buckets) {
    violations.add("data.packing = best_fit and data.length_buckets are both set, and packed rows are of one length", "keep one of them");
  }
  if (!blend.empty() && !path.empty()) violations.add("data.path and data.blend are both set", "put the file of data.path into data.blend, with its weight");
  parse_blend(blend, violations);
  if (validation_fraction < 0 || validation_fraction >= 1) {
    violations.add("data.validation_fraction = " + std::to_string(validation_fraction) + " is not in [0, 1)",
                   "give a share such as 0.1, or 0 for none");
  }
  if (!validation_path.empty() && validation_fraction != 0) {
    violations.add("data.validation_path and data.validation_fraction are both set", "keep one of them");
  }
}

}  // namespace sluice::data
