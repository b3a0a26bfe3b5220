#include "sluice/data/instruct/conversation_dataset.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/data/instruct/packing.h"

namespace sluice::data {
namespace {

class ConversationDataset : public Dataset {
 public:
  // `chosen` rise, and are indices into the samples of `file`.
  ConversationDataset(TokenisedFile file, std::vector<std::int64_t> chosen) : file_(std::move(file)), chosen_(std::move(chosen)) {
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(chosen_.size()); ++i) counts_.add(ReadRow{at_chosen(i)});
    counts_.conversations = file_.samples->counts();
    counts_.notes = file_.notes;
  }
  const fs::path& path() const override { return file_.path; }
  Sample at(std::int64_t index) const override {
    check_index(index);
    return at_chosen(index);
  }
  RawRow raw(std::int64_t index) const override {
    check_index(index);
    return {"", file_.where(chosen_[static_cast<std::size_t>(index)])};
  }
  std::int64_t length(std::int64_t index) const override {
    check_index(index);
    return file_.samples->length(chosen_[static_cast<std::size_t>(index)]);
  }

 private:
  Sample at_chosen(std::int64_t index) const { return file_.samples->at(chosen_[static_cast<std::size_t>(index)]); }

  TokenisedFile file_;
  std::vector<std::int64_t> chosen_;
};

// Puts `document` behind what is in `row`.
void append(Sample& row, const Sample& document) {
  const std::size_t begin = row.ids.size();
  if (!document.weights.empty()) row.weights.resize(begin, 1);
  const bool weighted = !row.weights.empty() || !document.weights.empty();
  row.documents.push_back(static_cast<std::int32_t>(begin));
  row.ids.insert(row.ids.end(), document.ids.begin(), document.ids.end());
  row.labels.insert(row.labels.end(), document.labels.begin(), document.labels.end());
  row.real.insert(row.real.end(), document.real.begin(), document.real.end());
  row.weights.insert(row.weights.end(), document.weights.begin(), document.weights.end());
  if (weighted) row.weights.resize(row.ids.size(), 1);
}

class PackedConversations : public Dataset {
 public:
  PackedConversations(TokenisedFile file, const std::vector<std::int64_t>& chosen, std::int64_t row_tokens) : file_(std::move(file)) {
    std::vector<std::int64_t> lengths;
    std::ranges::transform(chosen, std::back_inserter(lengths), [&](std::int64_t index) { return file_.samples->length(index); });
    rows_ = pack_best_fit(lengths, row_tokens);
    for (auto& row : rows_) {
      for (std::int64_t& document : row) document = chosen[static_cast<std::size_t>(document)];
    }
    for (const auto& row : rows_) counts_.add(ReadRow{joined(row)});
    counts_.conversations = file_.samples->counts();
    counts_.notes = file_.notes;
    counts_.packed = static_cast<std::int64_t>(chosen.size());
    counts_.room = row_tokens * static_cast<std::int64_t>(rows_.size());
  }
  const fs::path& path() const override { return file_.path; }
  Sample at(std::int64_t index) const override {
    check_index(index);
    return joined(rows_[static_cast<std::size_t>(index)]);
  }
  RawRow raw(std::int64_t index) const override {
    check_index(index);
    return {"", file_.where(rows_[static_cast<std::size_t>(index)][0])};
  }

 private:
  Sample joined(const std::vector<std::int64_t>& documents) const {
    Sample row;
    for (const std::int64_t document : documents) append(row, file_.samples->at(document));
    const auto trained = std::ranges::find_if(row.labels, [](std::int32_t label) { return label != kNotTrained; });
    row.prompt_length = static_cast<std::int32_t>(trained - row.labels.begin());
    return row;
  }

  TokenisedFile file_;
  std::vector<std::vector<std::int64_t>> rows_;
};

// What the file's tokens cannot say of themselves: whether they are this model's, and labelled as this run needs.
void check_samples(const TokenisedFile& file, std::int64_t count, const RowNeeds& needs) {
  for (std::int64_t i = 0; i < count; ++i) {
    const Sample sample = file.samples->at(i);
    require_known_ids(sample.ids, needs, file.where(i));
    if (sample.expert_label == kNoExpertLabel) row_expert_label(Json::object(), file.where(i), needs.labels, needs.categories);
  }
}

}  // namespace

std::vector<std::unique_ptr<Dataset>> open_conversations(const fs::path& path, const DataConfig& config, const RowNeeds& needs,
                                                         std::int64_t most_rows, const std::vector<RowLimit>& limits) {
  SLUICE_CHECK(needs.tokenizer && !needs.tokenizer_path.empty(), "conversations need a tokenizer and its folder");
  const TokenisedFile file = tokenise(path, config, {needs.tokenizer, needs.tokenizer_path}, needs.categories);
  const std::int64_t kept = file.samples->size(), used = most_rows > 0 ? std::min(most_rows, kept) : kept;
  check_samples(file, used, needs);
  std::vector<std::unique_ptr<Dataset>> out;
  for (const RowLimit& limit : limits) {
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = 0; i < used && (limit.most == 0 || static_cast<std::int64_t>(chosen.size()) < limit.most); ++i) {
      if (limit.choice.takes(file.samples->row(i))) chosen.push_back(i);
    }
    if (config.packing == Packing::kBestFit)
      out.push_back(std::make_unique<PackedConversations>(file, chosen, config.seq_length));
    else
      out.push_back(std::make_unique<ConversationDataset>(file, std::move(chosen)));
  }
  return out;
}

}  // namespace sluice::data
