#include "sluice/data/dataset_counts.h"

#include <algorithm>
#include <cstdio>

#include "sluice/base/crc32c.h"

namespace sluice::data {
namespace {

std::string with_commas(std::int64_t value) {
  std::string digits = std::to_string(value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string percent(std::int64_t part, std::int64_t whole) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

std::string labels_of(const DatasetCounts& counts, const Categories& categories) {
  std::string out = "; labels:";
  for (int i = 0; i < categories.size(); ++i) out += " " + categories.name(i) + " " + with_commas(counts.with_label(i));
  return out + (counts.unlabelled > 0 ? ", none " + with_commas(counts.unlabelled) : "");
}

}  // namespace

void DatasetCounts::add_label(std::int64_t label, std::int64_t count) {
  const auto index = static_cast<std::size_t>(label);
  if (index >= labelled.size()) labelled.resize(index + 1);
  labelled[index] += count;
}

void DatasetCounts::add(const ReadRow& row) {
  const Sample& sample = row.sample;
  const auto length = static_cast<std::int64_t>(sample.ids.size());
  ++rows;
  tokens += length;
  target_tokens += data::target_tokens(sample);
  longest_row = std::max(longest_row, length);
  cut_prompts += row.prompt_tokens_cut > 0;
  cut_answers += row.answer_tokens_cut > 0;
  cut_texts += row.text_tokens_cut > 0;
  if (sample.expert_label == kNoExpertLabel)
    ++unlabelled;
  else
    add_label(sample.expert_label, 1);
  const auto mix = [&](auto values) { fingerprint = crc32c(std::as_bytes(values), fingerprint); };
  mix(std::span(sample.ids));
  mix(std::span(sample.labels));
  mix(std::span(sample.real));
  mix(std::span(&sample.expert_label, 1));
  mix(std::span(sample.weights));
  mix(std::span(sample.documents));
}

void DatasetCounts::add(const DatasetCounts& other) {
  rows += other.rows;
  tokens += other.tokens;
  target_tokens += other.target_tokens;
  if (other.longest_row > longest_row) longest_at = other.longest_at;
  longest_row = std::max(longest_row, other.longest_row);
  cut_prompts += other.cut_prompts;
  cut_answers += other.cut_answers;
  cut_texts += other.cut_texts;
  for (std::size_t i = 0; i < other.labelled.size(); ++i) add_label(static_cast<std::int64_t>(i), other.labelled[i]);
  unlabelled += other.unlabelled;
  conversations.add(other.conversations);
  packed += other.packed;
  room += other.room;
  for (const std::string& note : other.notes) {
    if (std::ranges::find(notes, note) == notes.end()) notes.push_back(note);
  }
  fingerprint = crc32c(std::as_bytes(std::span(&other.fingerprint, 1)), fingerprint);
}

std::string describe(const ConversationCounts& counts) {
  std::string out;
  const auto add = [&](std::int64_t count, const std::string& what) {
    if (count > 0) out += (out.empty() ? "" : ", ") + with_commas(count) + " " + what;
  };
  add(counts.too_long, "left out as longer than data.seq_length");
  add(counts.nothing_left, "left out as nothing to train on is left within data.seq_length");
  add(counts.weightless, "left out as their weight is 0");
  add(counts.cut, "cut to data.seq_length");
  add(counts.filtered, "messages left out by rank, language or deletion");
  return out;
}

std::string describe(const DatasetCounts& counts, const Categories& categories) {
  std::string out = with_commas(counts.rows) + " rows, " + with_commas(counts.tokens) + " tokens, " + with_commas(counts.target_tokens) +
                    " of them trained on, longest row " + with_commas(counts.longest_row);
  if (counts.packed > 0) {
    out += "; " + with_commas(counts.packed) + " conversations packed, the rows " + percent(counts.tokens, counts.room) + " full";
  }
  if (counts.unlabelled < counts.rows) out += labels_of(counts, categories);
  if (counts.cut_prompts > 0) out += "; questions cut to data.seq_length: " + with_commas(counts.cut_prompts);
  if (counts.cut_answers > 0) out += "; answers cut to data.max_target_length: " + with_commas(counts.cut_answers);
  if (counts.cut_texts > 0) out += "; texts cut to data.seq_length: " + with_commas(counts.cut_texts);
  if (counts.conversations.conversations > 0) {
    out += "; of " + with_commas(counts.conversations.conversations) + " conversations in " + with_commas(counts.conversations.rows) +
           " rows of the file";
    const std::string what = describe(counts.conversations);
    out += what.empty() ? " all were kept whole" : ": " + what;
  }
  for (const std::string& note : counts.notes) out += "; note: " + note;
  return out;
}

}  // namespace sluice::data
