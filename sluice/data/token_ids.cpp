// Format token_ids: rows that are tokens already, used whole: never cut, packed or trimmed.
#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/data/formats.h"

namespace sluice::data {
namespace {

// Integers at `key`, each `extra` or from 0 to below `limit`.
std::vector<std::int32_t> integers(const Json& row, const std::string& key, std::int64_t limit, std::optional<std::int32_t> extra,
                                   const std::string& limit_name, const std::string& where) {
  const Json& values = row.at(key);
  if (!values.is_array()) throw Error(where + ": \"" + key + "\" is not a list", "write it as a list of whole numbers, [1, 2, 3]");
  std::vector<std::int32_t> out;
  out.reserve(values.size());
  for (const Json& value : values) {
    const bool in_range = value.is_number_unsigned() ? value.get<std::uint64_t>() < static_cast<std::uint64_t>(limit)
                                                     : value.is_number_integer() && extra && value.get<std::int64_t>() == *extra;
    if (!in_range) {
      throw Error(where + ": " + key + "[" + std::to_string(out.size()) + "] = " + dump_json(value) + " is not a whole number from 0 to " +
                      std::to_string(limit - 1) + " (" + limit_name + ")" + (extra ? ", nor " + std::to_string(*extra) : ""),
                  "mend the row, or check that the data was made with this model's tokenizer");
    }
    out.push_back(value.get<std::int32_t>());
  }
  return out;
}

void require_length(const std::vector<std::int32_t>& values, std::size_t length, const std::string& key, const std::string& where) {
  if (values.size() == length) return;
  throw Error(where + ": \"" + key + "\" has " + std::to_string(values.size()) + " entries and \"input_ids\" has " + std::to_string(length),
              "give one entry a token; a label stands at its own token's position (the model shifts)");
}

// A token is predicted at the position before it. Filling predicts nothing: its hidden state depends on what is put there.
void forget_labels_after_filling(Sample& sample) {
  for (std::size_t i = 1; i < sample.labels.size(); ++i) {
    if (!sample.real[i - 1]) sample.labels[i] = kNotTrained;
  }
}

class TokenIdsReader : public RowReader {
 public:
  explicit TokenIdsReader(const RowNeeds& needs) : needs_(needs) {}

  void check(std::string_view line, const std::string& where) const override { read(line, where); }

  ReadRow read(std::string_view line, const std::string& where) const override {
    const Json row = parse_row_object(line, where);
    if (!row.contains("input_ids")) row_text(row, "input_ids", where);  // throws, naming the row's keys
    const std::string limit_name = "the model's vocabulary has " + std::to_string(needs_.vocab_size) + " tokens";
    ReadRow out;
    Sample& sample = out.sample;
    sample.ids = integers(row, "input_ids", needs_.vocab_size, std::nullopt, limit_name, where);
    if (sample.ids.empty()) throw Error(where + ": \"input_ids\" is empty", "give the row tokens or remove it");
    sample.real.assign(sample.ids.size(), 1);
    if (row.contains("attention_mask")) {
      const auto mask = integers(row, "attention_mask", 2, std::nullopt, "1: a token, 0: filling", where);
      require_length(mask, sample.ids.size(), "attention_mask", where);
      std::transform(mask.begin(), mask.end(), sample.real.begin(), [](std::int32_t bit) { return static_cast<std::uint8_t>(bit); });
      if (std::find(mask.begin(), mask.end(), 1) == mask.end())
        throw Error(where + ": \"attention_mask\" has no 1: the row has no token", "remove the row or its mask");
    }
    if (row.contains("labels")) {
      sample.labels = integers(row, "labels", needs_.vocab_size, kNotTrained, limit_name, where);
      require_length(sample.labels, sample.ids.size(), "labels", where);
    } else {
      sample.labels = sample.ids;
      for (std::size_t i = 0; i < sample.ids.size(); ++i) {
        if (!sample.real[i]) sample.labels[i] = kNotTrained;
      }
    }
    forget_labels_after_filling(sample);
    const auto trained = std::find_if(sample.labels.begin(), sample.labels.end(), [](std::int32_t label) { return label != kNotTrained; });
    sample.prompt_length = static_cast<std::int32_t>(trained - sample.labels.begin());
    sample.expert_label = row_expert_label(row, where, needs_.labels, needs_.categories);
    return out;
  }

 private:
  RowNeeds needs_;
};

}  // namespace

std::unique_ptr<RowReader> make_token_ids_reader(const RowNeeds& needs) { return std::make_unique<TokenIdsReader>(needs); }

}  // namespace sluice::data
