#include "sluice/cli/data_train.h"

#include <algorithm>
#include <iostream>

#include "sluice/base/error.h"
#include "sluice/base/output_file.h"
#include "sluice/cli/parse.h"
#include "sluice/data/classifier.h"
#include "sluice/data/classifier_train.h"
#include "sluice/data/formats.h"
#include "sluice/text/bpe_trainer.h"

namespace sluice::cli {
namespace {

std::vector<data::TrainingRow> read_rows(const std::vector<fs::path>& inputs) {
  std::vector<data::TrainingRow> rows;
  for (const fs::path& input : inputs) {
    for (data::TrainingRow& row : data::read_training_rows(input)) rows.push_back(std::move(row));
  }
  return rows;
}

// The texts of one line that a model will read: a question in its prompt with each answer, or the row's text.
std::vector<std::string> texts_of_row(const std::string& line, const std::string& where) {
  const Json row = parse_json(line, where);
  if (row.is_object() && row.contains("text")) return {data::row_text(row, "text", where)};
  const data::QaRow qa = data::parse_qa_row(data::parse_row_object(line, where), where);
  std::vector<std::string> texts;
  for (const std::string& answer : qa.answers) texts.push_back(data::qa_prompt(qa.question) + " " + answer);
  return texts;
}

void add_training_texts(const fs::path& input, text::BpeTrainer& trainer) {
  LineReader lines(input);
  const bool rows = input.extension() == ".jsonl";
  std::int64_t num_texts = 0;
  for (std::string line; lines.next(line);) {
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    for (const std::string& text : rows ? texts_of_row(line, lines.where()) : std::vector{line + "\n"}) {
      try {
        trainer.add(text);
      } catch (const Error& error) {  // knows the text, not where it stands
        throw Error(lines.where() + ": " + error.problem(), error.remedy());
      }
      ++num_texts;
    }
  }
  if (num_texts == 0) throw Error(input.string() + " has no text", "give a file of rows (.jsonl) or of plain lines");
}

}  // namespace

fs::path shipped_classifier() { return data_folder() / "question_classifier" / "model.bin"; }

int run_train_classifier(const Arguments& arguments, Log& log) {
  CLI::App app("Trains the question classifier on rows {question, expert_label, origin, weight?} and says how well it does",
               "sluice data train-classifier");
  std::vector<fs::path> inputs, evaluate;
  fs::path output;
  data::ClassifierTraining settings;
  double held_out = 0.1;
  bool leave_one_origin_out = false;
  app.add_option("--input", inputs, "Labelled JSONL file; may be given several times")->required();
  app.add_option("--output", output, "File to write")->required();
  app.add_option("--vocabulary", settings.vocabulary,
                 "Running text that, beside the rows, tells names from ordinary words: .jsonl, .json or plain text; several times");
  app.add_option("--seed", settings.seed, "Order of the rows and what dropout leaves out")->capture_default_str()->check(whole_number(0));
  app.add_option("--epochs", settings.epochs, "Times over the rows")->capture_default_str()->check(whole_number(1));
  app.add_option("--learning-rate,--lr", settings.learning_rate, "At the start; falls to zero")
      ->capture_default_str()
      ->check(number_above(0));
  app.add_option("--feature-dropout", settings.feature_dropout, "Share of a question's features left out at each visit")
      ->capture_default_str()
      ->check(number_between(0, 0.99));
  app.add_option("--holdout", held_out, "Share of the rows to score a model on that was trained without them; 0: none")
      ->capture_default_str()
      ->check(number_between(0, 0.9));
  app.add_flag("--leave-one-origin-out", leave_one_origin_out, "Also train once without each origin and score on its rows");
  app.add_option("--evaluate", evaluate, "Labelled JSONL file to score the written model on; may be given several times");
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;

  for (const fs::path& input : inputs) require_other_file(input, output);
  require_writable(output);
  const data::ClassifierTrainer trainer(read_rows(inputs), settings);
  const std::vector<data::TrainingRow> unseen = read_rows(evaluate);
  const auto print = [&](const std::string& title, const data::ClassifierTrainer::Scores& scores, const char* why_none) {
    if (scores.empty()) log.note(title + ": not scored; " + why_none);
    else std::cout << title << ":\n\n" << data::format_scores(scores) << std::endl;
  };
  if (held_out > 0.0) print("Rows held out of training", trainer.score_held_out(held_out), "the rows are too few to leave out that share (--holdout)");
  if (leave_one_origin_out) {
    print("Each source by a model trained without it", trainer.score_leaving_origins_out(), "without any one of them a category would have no rows");
  }
  const data::QuestionClassifier classifier = trainer.train();
  classifier.save(output);
  log.info("classifier trained on " + std::to_string(trainer.num_rows()) + " questions written to " + output.string());
  if (!unseen.empty()) std::cout << "Rows of --evaluate:\n\n" << data::format_scores(data::score(classifier, data::pointers(unseen)));
  return 0;
}

int run_evaluate_classifier(const Arguments& arguments, Log&) {
  CLI::App app("Prints the classifier's accuracy on labelled questions, by their \"origin\"", "sluice data evaluate-classifier");
  std::vector<fs::path> inputs;
  fs::path model = shipped_classifier();
  app.add_option("--input", inputs, "Labelled JSONL file; may be given several times")->required();
  app.add_option("--model", model, "Classifier made by train-classifier; default: the one that ships");
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  const std::vector<data::TrainingRow> rows = read_rows(inputs);
  std::cout << data::format_scores(data::score(data::QuestionClassifier::load(model), data::pointers(rows)));
  return 0;
}

int run_train_tokenizer(const Arguments& arguments, Log& log) {
  CLI::App app("Trains a byte-level BPE tokenizer and writes it as Hugging Face files", "sluice data train-tokenizer");
  std::vector<fs::path> inputs;
  fs::path output;
  text::BpeTraining training;
  text::TokenizerRoles roles{.bos = "", .eos = "</s>", .pad = "<pad>", .model_max_length = 2048};
  app.add_option("--input", inputs, "Rows of questions and answers or of \"text\" (.jsonl), or plain text; several times")->required();
  app.add_option("--output", output, "Folder for tokenizer.json and tokenizer_config.json")->required();
  app.add_option("--vocab-size", training.vocab_size, "Tokens, special ones and the 256 bytes among them")->capture_default_str()->check(whole_number(1));
  app.add_option("--min-pair-count", training.min_pair_count, "Pairs seen less often are not joined")
      ->capture_default_str()
      ->check(whole_number(1));
  app.add_option("--bos", roles.bos, "Token that begins a text; default: none");
  app.add_option("--eos", roles.eos, "Token that ends a text; training and generation need one")->capture_default_str();
  app.add_option("--pad", roles.pad, "Token that fills up")->capture_default_str();
  app.add_option("--model-max-length", roles.model_max_length, "Longest text the model is meant for, in tokens")
      ->capture_default_str()
      ->check(whole_number(1));
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  if (roles.eos.empty()) throw Error("--eos is empty: training ends every answer with that token, and generation stops at it", "name one, or leave --eos out: </s>");
  for (const std::string& token : {roles.bos, roles.eos, roles.pad}) {
    if (!token.empty() && std::ranges::find(training.special_tokens, token) == training.special_tokens.end())
      training.special_tokens.push_back(token);
  }
  require_writable_folder(output);
  text::BpeTrainer trainer(training);
  for (const fs::path& input : inputs) add_training_texts(input, trainer);
  const text::TrainedBpe bpe = trainer.train();
  text::write_tokenizer(bpe, roles, output);
  log.info("tokenizer with " + std::to_string(bpe.tokens.size()) + " tokens written to " + output.string());
  return 0;
}

}  // namespace sluice::cli
