#include "sluice/data/instruct/samples.h"

#include <algorithm>

#include "sluice/data/dataset_counts.h"
#include "sluice/data/formats.h"
#include "sluice/data/instruct/mask.h"

namespace sluice::data {
namespace {

using End = MaskedConversation::End;

text::Conversation with_system_prompt(const text::Conversation& given, const std::string& prompt) {
  text::Conversation out = given;
  if (prompt.empty() || (!out.messages.empty() && out.messages[0]["role"] == "system")) return out;
  out.messages.insert(out.messages.begin(), OrderedJson{{"role", "system"}, {"content", prompt}});
  return out;
}

// Leaves `limit` tokens: the first ones, or the last.
void cut(MaskedConversation& masked, std::size_t limit, Truncation truncation) {
  const auto gone = static_cast<std::ptrdiff_t>(masked.ids.size() - limit);
  if (truncation == Truncation::kLeft) {
    masked.ids.erase(masked.ids.begin(), masked.ids.begin() + gone);
    masked.weights.erase(masked.weights.begin(), masked.weights.begin() + gone);
  } else {
    masked.ids.resize(limit);
    masked.weights.resize(limit);
  }
}

// Labels and weights from the mask. The first token is never trained on: nothing comes before it.
Sample sample_of(MaskedConversation masked, float row_weight) {
  Sample sample;
  sample.ids = std::move(masked.ids);
  sample.real.assign(sample.ids.size(), 1);
  sample.labels.assign(sample.ids.size(), kNotTrained);
  bool counts_one = true;
  for (std::size_t i = 1; i < sample.ids.size(); ++i) {
    if (masked.weights[i] == 0) continue;
    sample.labels[i] = sample.ids[i];
    counts_one &= masked.weights[i] * row_weight == 1;
  }
  const auto trained = std::ranges::find_if(sample.labels, [](std::int32_t label) { return label != kNotTrained; });
  sample.prompt_length = static_cast<std::int32_t>(trained - sample.labels.begin());
  if (counts_one) return sample;
  sample.weights.assign(sample.ids.size(), 1);
  for (std::size_t i = 1; i < sample.ids.size(); ++i) {
    if (masked.weights[i] != 0) sample.weights[i] = masked.weights[i] * row_weight;
  }
  return sample;
}

// Whether the file itself says that none of the answers is to be trained on.
bool is_weightless(const InstructRow& row, TrainOn train_on) {
  bool any = false, last = false;
  for (const OrderedJson& message : row.conversation.messages) {
    if (message["role"] != "assistant") continue;
    last = !message.contains("weight") || message["weight"].get<double>() > 0;
    any |= last;
  }
  return row.weight == 0 || !(train_on == TrainOn::kLast ? last : any);
}

std::optional<Error> fault_of(const Sample& sample, End end, MadeSample::Cut cut, Truncation truncation, const std::string& where) {
  const auto length = static_cast<std::int64_t>(sample.ids.size());
  if (target_tokens(sample) == 0) {
    return Error(where + ": none of the conversation's " + std::to_string(length) + " tokens would be trained on",
                 "see what the template makes of it: sluice data preview; or leave the row out");
  }
  if (cut == MadeSample::Cut::kNo && target_tokens(sample) == length - 1) {
    return Error(
        where + ": all of the conversation's " + std::to_string(length) + " tokens would be trained on, and no prompt comes before them",
        "give the row a prompt, or mark in the template what the assistant writes: {% generation %} ... {% endgeneration %}");
  }
  const bool end_was_cut = cut == MadeSample::Cut::kYes && truncation == Truncation::kRight;
  if (end == End::kNone && !end_was_cut) {
    return Error(where + ": no end token would be trained on, and the model would not learn to stop",
                 "let the template end an answer with a special token, {{ eos_token }}; or set data.train_on_end=false");
  }
  return std::nullopt;
}

}  // namespace

Error nothing_is_kept(const std::string& path, const ConversationCounts& counts, const DataConfig& config) {
  const std::string remedy = counts.weightless == counts.conversations ? "give rows and answers that are to be trained on a weight above 0"
                                                                       : "raise data.seq_length = " + std::to_string(config.seq_length) + ", or set data.truncation=right";
  return Error("none of the " + std::to_string(counts.conversations) + " conversations of " + path + " is left to train on: " + describe(counts), remedy);
}

SampleMaker::SampleMaker(const DataConfig& config, const TokenizerSource& tokenizer, const Categories& categories)
    : config_(config), tokenizer_(*tokenizer.tokenizer), format_(make_prompt_template(config.instruct, tokenizer)), categories_(categories) {}

MadeSample SampleMaker::make(const InstructRow& row) const try {
  const InstructConfig& settings = config_.instruct;
  MadeSample out;
  const std::int32_t expert_label = row_expert_label(Json{{"expert_label", Json(row.expert_label)}}, row.where, LabelPolicy::kOptional, categories_);
  if (is_weightless(row, settings.train_on)) {
    out.fate = Fate::kWeightless;
    return out;
  }
  MaskedConversation masked = mask(with_system_prompt(row.conversation, settings.system_prompt), format_, tokenizer_, settings);
  const End end = masked.end == End::kLeftOut || !settings.train_on_end ? End::kLeftOut : masked.end;
  if (const auto limit = static_cast<std::size_t>(config_.seq_length); masked.ids.size() > limit) {
    if (settings.truncation == Truncation::kDrop) {
      out.fate = Fate::kTooLong;
      return out;
    }
    out.cut = MadeSample::Cut::kYes;
    cut(masked, limit, settings.truncation);
  }
  out.sample = sample_of(std::move(masked), row.weight);
  out.sample.expert_label = expert_label;
  if (out.cut == MadeSample::Cut::kYes && target_tokens(out.sample) == 0)
    out.fate = Fate::kNothingLeft;
  else
    out.fault = fault_of(out.sample, end, out.cut, settings.truncation, row.where);
  return out;
} catch (const Error& error) {
  if (error.problem().starts_with(row.where)) throw;
  throw Error(row.where + ": " + error.problem(), error.remedy());  // the template and the tokenizer do not know where the row stands
}

}  // namespace sluice::data
