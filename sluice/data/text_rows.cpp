// Format text: a document a line, every token trained on, an end token after each document.
#include "sluice/base/error.h"
#include "sluice/data/formats.h"
#include "sluice/text/utf8.h"

namespace sluice::data {
namespace {

class TextReader : public RowReader {
 public:
  TextReader(const DataConfig& config, const RowNeeds& needs, TextLines lines)
      : config_(config), needs_(needs), lines_(lines), leading_(leading_tokens(*needs.tokenizer)), end_(end_token(*needs.tokenizer)) {}

  void check(std::string_view line, const std::string& where) const override { document(line, where); }

  ReadRow read(std::string_view line, const std::string& where) const override {
    const auto [text, label] = document(line, where);
    ReadRow out;
    Sample& sample = out.sample;
    sample.ids = leading_;
    const auto ids = needs_.tokenizer->encode(text, text::SpecialTokens::kNone);
    sample.ids.insert(sample.ids.end(), ids.begin(), ids.end());
    sample.ids.push_back(end_);
    if (const auto limit = static_cast<std::size_t>(config_.seq_length); config_.packing == Packing::kNone && sample.ids.size() > limit) {
      out.text_tokens_cut = static_cast<std::int64_t>(sample.ids.size() - limit);
      sample.ids.resize(limit);
    }
    sample.labels = sample.ids;
    sample.real.assign(sample.ids.size(), 1);
    sample.expert_label = label;
    require_known_ids(sample.ids, needs_, where);
    return out;
  }

 private:
  struct Document {
    std::string text;
    std::int32_t expert_label;
  };

  Document document(std::string_view line, const std::string& where) const {
    if (lines_ == TextLines::kJson) {
      const Json row = parse_row_object(line, where);
      return {row_text(row, "text", where), row_expert_label(row, where, needs_.labels, needs_.categories)};
    }
    text::require_utf8(line, where);
    return {std::string(line), row_expert_label(Json::object(), where, needs_.labels, needs_.categories)};
  }

  DataConfig config_;
  RowNeeds needs_;
  TextLines lines_;
  std::vector<std::int32_t> leading_;
  std::int32_t end_;
};

}  // namespace

std::unique_ptr<RowReader> make_text_reader(const DataConfig& config, const RowNeeds& needs, TextLines lines) {
  return std::make_unique<TextReader>(config, needs, lines);
}

}  // namespace sluice::data
