#include "sluice/eval/evaluate.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "sluice/base/json.h"
#include "sluice/data/categories.h"
#include "sluice/eval/exact_match.h"
#include "sluice/generate/generate.h"
#include "sluice/generate/logits.h"
#include "sluice/loss/load_balance.h"
#include "sluice/loss/objective.h"
#include "sluice/parallel/apply.h"
#include "sluice/text/utf8.h"
#include "tests/unit/checkpoint/scratch.h"
#include "tests/unit/data/byte_tokenizer.h"
#include "tests/unit/generate/tiny_model.h"

namespace sluice::eval {
namespace {

using checkpoint::ScratchFolder;
using data::ByteTokenizer;
using generate::random_ids;
using generate::StoreKind;
using generate::TinyModel;

data::DataConfig config_of(data::Format format) {
  data::DataConfig config;
  config.format = format;
  config.path = "rows";
  return config.with_defaults();
}

// Rows of token ids of several lengths, some labelled, the first tokens not trained on.
fs::path write_token_rows(const ScratchFolder& folder, int rows) {
  std::string lines;
  for (int row = 0; row < rows; ++row) {
    const auto ids = random_ids(static_cast<std::size_t>(6 + row % 5), static_cast<std::uint64_t>(row));
    std::vector<std::int32_t> labels = ids;
    std::fill_n(labels.begin(), 4 + row % 2, data::kNotTrained);
    Json line{{"input_ids", ids}, {"labels", labels}};
    if (row % 3 != 2) line["expert_label"] = row % 4;
    lines += dump_json(line) + "\n";
  }
  write_file_atomic(folder / "rows.jsonl", lines);
  return folder / "rows.jsonl";
}

RoutingFile preferences_of_tiny() {
  RoutingFile file;
  file.categories = data::Categories().names();
  file.layers = {1};
  file.preferences = {{.7, .1, .1, .1}, {.1, .7, .1, .1}, {.1, .1, .7, .1}, {.1, .1, .1, .7}};
  return file;
}

void expect_equal(const monitor::Evaluation& a, const monitor::Evaluation& b) {
  EXPECT_NEAR(*a.lm_loss, *b.lm_loss, 1e-6);  // float32 sums in another order
  EXPECT_DOUBLE_EQ(*a.routing->accuracy, *b.routing->accuracy);
  EXPECT_DOUBLE_EQ(*a.routing->mutual_information_nats, *b.routing->mutual_information_nats);
  EXPECT_NEAR(*a.routing->kl, *b.routing->kl, 1e-6);
  EXPECT_EQ(a.routing->expert_share, b.routing->expert_share);
  EXPECT_EQ(a.routing->label_expert, b.routing->label_expert);
}

TEST(Evaluate, LossIsTheMeanOverTrainedTokensOfTheirLogits) {
  const ScratchFolder folder;
  const TinyModel tiny;
  const auto dataset = data::open_dataset(write_token_rows(folder, 11), config_of(data::Format::kTokenIds), {nullptr, 61});
  double sum = 0, count = 0;
  for (std::int64_t row = 0; row < dataset->size(); ++row) {  // the slow path: one row at a time, all logits
    const data::Sample sample = dataset->at(row);
    const at::Tensor log_probability = at::log_softmax(generate::logits(tiny.runnable(), {sample.ids})[0].to(at::kDouble), -1);
    for (std::size_t t = 1; t < sample.ids.size(); ++t) {
      if (sample.labels[t] == data::kNotTrained) continue;
      sum -= log_probability[static_cast<std::int64_t>(t) - 1][sample.labels[t]].item<double>();
      count += 1;
    }
  }
  const auto evaluation = evaluate(tiny.runnable(), *dataset, {.batch_size = 4});
  EXPECT_NEAR(*evaluation.lm_loss, sum / count, 1e-6);
  EXPECT_NEAR(*evaluation.perplexity, std::exp(sum / count), 1e-4);
  EXPECT_FALSE(evaluation.exact_match);
  EXPECT_FALSE(evaluation.routing->accuracy);
}

TEST(Evaluate, TheBatchSizeChangesNothing) {
  const ScratchFolder folder;
  const TinyModel tiny;
  const auto dataset = data::open_dataset(write_token_rows(folder, 13), config_of(data::Format::kTokenIds), {nullptr, 61});
  const RoutingFile supervision = preferences_of_tiny();
  const auto with = [&](std::int64_t batch_size) {
    return evaluate(tiny.runnable(), *dataset, {.batch_size = batch_size, .supervision = &supervision});
  };
  const auto one = with(1);
  expect_equal(with(4), one);
  expect_equal(with(100), one);
}

TEST(Evaluate, AStoreForTrainingGivesTheSameAndKeepsItsGradients) {
  const ScratchFolder folder;
  const TinyModel inference, training(StoreKind::kTraining);
  const auto dataset = data::open_dataset(write_token_rows(folder, 8), config_of(data::Format::kTokenIds), {nullptr, 61});
  const RoutingFile supervision = preferences_of_tiny();
  const EvaluateOptions options{.batch_size = 3, .supervision = &supervision};
  training.store->flat_grad().fill_(0.5);
  expect_equal(evaluate(training.runnable(), *dataset, options), evaluate(inference.runnable(), *dataset, options));
  EXPECT_TRUE(at::all(training.store->flat_grad() == 0.5).item<bool>());
}

TEST(Evaluate, RefusesRowsPastThePositionsAndPreferencesOfAnotherModel) {
  const ScratchFolder folder;
  const TinyModel tiny;
  write_file_atomic(folder / "long.jsonl", dump_json(Json{{"input_ids", random_ids(65, 0)}}) + "\n");
  const auto too_long = data::open_dataset(folder / "long.jsonl", config_of(data::Format::kTokenIds), {nullptr, 61});
  EXPECT_THROW(evaluate(tiny.runnable(), *too_long, {}), Error);
  const auto dataset = data::open_dataset(write_token_rows(folder, 2), config_of(data::Format::kTokenIds), {nullptr, 61});
  RoutingFile foreign = preferences_of_tiny();
  foreign.layers = {2};
  EXPECT_THROW(evaluate(tiny.runnable(), *dataset, {.supervision = &foreign}), Error);
}

TEST(Evaluate, GoldenMixtralLossesEqualTransformersWithAndWithoutPadding) {
  const fs::path path = fs::path(SLUICE_SHARED_DIR) / "golden/models/mixtral";
  if (!fs::exists(path / "golden.json")) GTEST_SKIP() << "no golden/models/mixtral beside the checkout";
  const Json golden = parse_json(read_file(path / "golden.json"), "golden.json");
  const generate::LoadedModel loaded = generate::open_model(path, std::nullopt);
  const double coefficient = loaded.folder.config->moe().router_aux_loss_coef;
  const ScratchFolder folder;
  for (const bool masked : {false, true}) {
    std::string lines;
    for (std::size_t row = 0; row < 2; ++row) {
      Json line{{"input_ids", golden["input_ids"][row]}, {"labels", golden["labels"][row]}};
      if (masked) line["attention_mask"] = golden["attention_mask"][row];
      lines += dump_json(line) + "\n";
    }
    write_file_atomic(folder / "rows.jsonl", lines);
    const auto dataset =
        data::open_dataset(folder / "rows.jsonl", config_of(data::Format::kTokenIds), {nullptr, loaded.folder.config->vocab_size()});
    const double expected = golden[masked ? "loss_mask" : "loss_nomask"].get<double>(),
                 expected_aux = golden[masked ? "aux_mask" : "aux_nomask"].get<double>();
    EXPECT_NEAR(*evaluate(loaded.runnable(), *dataset, {.batch_size = 2}).lm_loss, expected - coefficient * expected_aux, 1e-5)
        << "masked: " << masked;

    const at::NoGradGuard no_grad;
    const std::vector<data::Sample> samples{dataset->at(0), dataset->at(1)};
    const auto tensors = loss::to_tensors(data::make_batch(samples, 0), loss::Tokens::kAll);
    const nn::ForwardContext context{tensors.shape, nn::local_seams()};
    const auto pass = parallel::forward(*loaded.model, tensors.ids, context, parallel::Recompute::kNone);
    const double aux = loss::load_balance(loss::AuxLoss::kHfPooled, pass.routers, tensors.real, 2, nullptr).item<double>();
    EXPECT_NEAR(aux, expected_aux, 1e-5) << "masked: " << masked;
  }
}

TEST(NormalisedAnswer, IsSquads) {
  EXPECT_EQ(normalised_answer("The  Eiffel Tower!"), "eiffel tower");
  EXPECT_EQ(normalised_answer(" an apple\ta day "), "apple day");
  EXPECT_EQ(normalised_answer("Theory of a-theism"), "theory of atheism");
  EXPECT_EQ(normalised_answer("U.S.A."), "usa");
  EXPECT_EQ(normalised_answer("\u00C9COLE\u00A0Normale"), "\u00E9cole normale");  // Python's split() parts at U+00A0 too
  EXPECT_EQ(normalised_answer("the"), "");
  EXPECT_EQ(normalised_answer("\xFF"), "\uFFFD");
}

TEST(ExactMatch, IsTheShareOfQuestionsAnsweredByAnyOfTheirAnswers) {
  const TinyModel tiny(StoreKind::kInference, data::kByteVocab);
  const ByteTokenizer tokenizer;
  const ScratchFolder folder;
  const ExactMatchOptions options{.rows = 6, .batch_size = 4, .max_tokens = 8};
  // Questions of two lengths; the first four get what the model says among their answers, the last two something else.
  std::string lines;
  for (int i = 0; i < 6; ++i) {
    const std::string question = std::string(i % 2 == 0 ? "who" : "when") + static_cast<char>('a' + i);
    auto ids = generate::generate(tiny.runnable(), {tokenizer.encode(data::qa_prompt(question), text::SpecialTokens::kNone)},
                                  {.max_tokens = 8, .stop_ids = {ByteTokenizer::kEnd}})[0];
    if (ids.back() == ByteTokenizer::kEnd) ids.pop_back();
    const std::string said = text::to_valid_utf8(tokenizer.decode(ids, text::DecodeSpecial::kSkip));
    lines +=
        dump_json(Json{{"question", question}, {"answer", i < 4 ? Json{"no such thing", "The " + said} : Json("no such thing")}}) + "\n";
  }
  write_file_atomic(folder / "qa.jsonl", lines);
  const auto dataset = data::open_dataset(folder / "qa.jsonl", config_of(data::Format::kQa), {&tokenizer, data::kByteVocab});
  EXPECT_NEAR(exact_match(tiny.runnable(), *dataset, tokenizer, options), 4.0 / 6, 1e-12);
  EXPECT_NEAR(exact_match(tiny.runnable(), *dataset, tokenizer, {.rows = 5, .batch_size = 1, .max_tokens = 8}), 4.0 / 5, 1e-12);
  const auto whole = evaluate(tiny.runnable(), *dataset, {.exact_match_rows = 6, .tokenizer = &tokenizer, .max_target_length = 8});
  EXPECT_NEAR(*whole.exact_match, 4.0 / 6, 1e-12);
}

}  // namespace
}  // namespace sluice::eval
