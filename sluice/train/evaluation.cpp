#include "sluice/train/evaluation.h"

#include <map>

#include "sluice/data/formats.h"
#include "sluice/eval/answers.h"
#include "sluice/eval/evaluate.h"
#include "sluice/generate/generate.h"

namespace sluice::train {
namespace {

constexpr std::int64_t kOfEachCategory = 2;

// The first held-out rows of each category; rows without a label count as one.
std::vector<std::int64_t> pick(const data::Dataset& dataset, std::int64_t num_categories) {
  std::map<std::int32_t, std::int64_t> taken;
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < dataset.size() && static_cast<std::int64_t>(rows.size()) < kOfEachCategory * num_categories; ++row) {
    if (taken[dataset.at(row).expert_label]++ < kOfEachCategory) rows.push_back(row);
  }
  return rows;
}

// While it lives, the model runs as inference does under the run's layout.
class ForInference {
 public:
  explicit ForInference(const Session& session) : session_(session) {
    session.model->set_seams(session.seams->inference());
    session.shared->begin_inference();
  }
  ~ForInference() {
    session_.shared->end_inference();
    session_.model->set_seams(session_.seams->training());
  }
  ForInference(const ForInference&) = delete;
  ForInference& operator=(const ForInference&) = delete;

 private:
  const Session& session_;
};

}  // namespace

monitor::Evaluation evaluate(const Session& session, std::int64_t generated_rows) {
  const Recipe& recipe = session.resolved.recipe;
  const ForInference model(session);
  eval::EvaluateOptions options;
  options.batch_size = recipe.train.micro_batch_size;
  options.expert_capacity_factor = recipe.moe.expert_capacity_factor;
  options.categories = data::Categories(recipe.routing_supervision.categories);
  const auto supervision = session.routing_file();
  if (supervision) options.supervision = &*supervision;
  const bool conversations = data::has_conversations(recipe.data.format) && recipe.data.packing == data::Packing::kNone;
  if (recipe.data.format == data::Format::kQa) options.exact_match_rows = generated_rows;
  if (conversations) options.answered_rows = generated_rows;
  options.tokenizer = session.data.tokenizer.get();
  if (recipe.data.max_target_length > 0) options.max_target_length = recipe.data.max_target_length;
  else if (conversations) options.max_target_length = eval::AnswerOptions{}.max_tokens;
  return eval::evaluate({*session.model, *session.resolved.model_config}, *session.data.sets.validation, options);
}

std::vector<monitor::SampleAnswer> answer_samples(const Session& session) {
  const Recipe& recipe = session.resolved.recipe;
  if (!session.data.sets.validation || recipe.data.format != data::Format::kQa) return {};
  const ForInference model(session);
  const data::Dataset& held_out = *session.data.sets.validation;
  const text::Tokenizer& tokenizer = *session.data.tokenizer;
  generate::GenerateOptions options;
  options.max_tokens = recipe.data.max_target_length;
  options.stop_ids = {data::end_token(tokenizer)};
  const data::Categories categories(recipe.routing_supervision.categories);
  eval::EvaluateOptions reading;
  reading.categories = categories;
  reading.expert_capacity_factor = recipe.moe.expert_capacity_factor;
  const auto supervision = session.routing_file();
  if (supervision) reading.supervision = &*supervision;
  const auto name = [&](std::int32_t label) { return label >= 0 ? categories.name(label) : ""; };
  std::vector<monitor::SampleAnswer> samples;
  for (const std::int64_t row : pick(held_out, categories.size())) {
    const data::Sample sample = held_out.at(row);
    const data::RawRow raw = held_out.raw(row);
    const data::QaRow question = data::parse_qa_row(data::parse_row_object(raw.line, raw.where), raw.where);
    const std::vector<std::int32_t> prompt(sample.ids.begin(), sample.ids.begin() + sample.prompt_length);
    const generate::Runnable runnable{*session.model, *session.resolved.model_config};
    std::vector<std::int32_t> answer = generate::generate(runnable, {prompt}, options)[0];
    if (!answer.empty() && answer.back() == options.stop_ids[0]) answer.pop_back();
    samples.push_back({question.question, tokenizer.decode(answer, text::DecodeSpecial::kSkip), question.answers[0], name(sample.expert_label),
                       supervision ? name(eval::read_back_label(runnable, sample, reading)) : ""});
  }
  return samples;
}

}  // namespace sluice::train
