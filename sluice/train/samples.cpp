#include "sluice/train/samples.h"

#include <map>

#include "sluice/data/formats.h"
#include "sluice/generate/generate.h"
#include "sluice/monitor/samples.h"

namespace sluice::train {
namespace {

constexpr std::int64_t kOfEachCategory = 2;

// The first held-out rows of each category; rows without a label count as one.
std::vector<std::int64_t> pick(const data::Dataset& dataset) {
  std::map<std::int32_t, std::int64_t> taken;
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < dataset.size() && static_cast<std::int64_t>(rows.size()) < kOfEachCategory * data::kNumCategories; ++row) {
    if (taken[dataset.at(row).expert_label]++ < kOfEachCategory) rows.push_back(row);
  }
  return rows;
}

}  // namespace

void write_sample_answers(const Session& session, const fs::path& run_folder) {
  const Recipe& recipe = session.resolved.recipe;
  if (!session.data.sets.validation || recipe.data.format != data::Format::kQa) return;
  const data::Dataset& held_out = *session.data.sets.validation;
  const text::Tokenizer& tokenizer = *session.data.tokenizer;
  generate::GenerateOptions options;
  options.max_tokens = recipe.data.max_target_length;
  options.stop_ids = {data::end_token(tokenizer)};
  std::vector<monitor::SampleAnswer> samples;
  for (const std::int64_t row : pick(held_out)) {
    const data::Sample sample = held_out.at(row);
    const data::RawRow raw = held_out.raw(row);
    const data::QaRow question = data::parse_qa_row(raw.line, raw.where, data::LabelPolicy::kOptional);
    const std::vector<std::int32_t> prompt(sample.ids.begin(), sample.ids.begin() + sample.prompt_length);
    std::vector<std::int32_t> answer = generate::generate({*session.model, *session.resolved.model_config}, {prompt}, options)[0];
    if (!answer.empty() && answer.back() == options.stop_ids[0]) answer.pop_back();
    const auto label = static_cast<std::size_t>(std::max(0, sample.expert_label));
    samples.push_back({question.question, tokenizer.decode(answer, text::DecodeSpecial::kSkip), question.answers[0],
                       sample.expert_label >= 0 ? std::string(data::kCategoryNames[label]) : "", ""});
  }
  monitor::write_samples(run_folder, samples);
}

}  // namespace sluice::train
