#include "sluice/data/formats.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"

namespace sluice::data {
std::int32_t row_expert_label(const Json& row, const std::string& where, LabelPolicy labels, const Categories& categories) {
  const auto found = row.find("expert_label");
  if (found == row.end() || found->is_null()) {
    if (labels == LabelPolicy::kOptional) return kNoExpertLabel;
    throw Error(where + ": the row has no expert_label, which supervised routing needs",
                "label the file with `sluice data annotate`, or train with routing_supervision.weight=0");
  }
  if (found->is_string()) return categories.require(found->get_ref<const std::string&>(), where);
  if (found->is_number()) {
    if (const auto index = categories.find_index(dump_json(*found))) return *index;
  }
  throw Error(where + ": expert_label = " + dump_json(*found) + " is no category",
              "use " + join_or(categories.names()) + ", or 0 to " + std::to_string(categories.size() - 1));
}

const std::string& row_text(const Json& row, const std::string& key, const std::string& where) {
  const auto found = row.find(key);
  if (found == row.end()) {
    std::vector<std::string> keys;
    for (const auto& item : row.items()) keys.push_back(item.key());
    throw Error(where + ": the row has no \"" + key + "\"" + (keys.empty() ? "" : "; its keys are " + join_or(keys)),
                "give each row a \"" + key + "\", or set data.format to what the file holds: qa, token_ids, text, messages, alpaca ...");
  }
  if (!found->is_string()) throw Error(where + ": \"" + key + "\" is " + kind_of(*found) + ", not a text", "write it in quotes");
  const auto& text = found->get_ref<const std::string&>();
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    throw Error(where + ": \"" + key + "\" is empty", "fill it in or remove the row");
  return text;
}

std::vector<std::int32_t> leading_tokens(const text::Tokenizer& tokenizer) {
  // A post-processor frames a text; what it puts in front is found by framing one whose own tokens are known.
  const std::string probe = "a";
  const auto plain = tokenizer.encode(probe, text::SpecialTokens::kNone), framed = tokenizer.encode(probe, text::SpecialTokens::kAdd);
  const auto at = std::search(framed.begin(), framed.end(), plain.begin(), plain.end());
  if (at == framed.end())
    throw Error("the tokenizer changes a text's own tokens when it adds special tokens",
                "use a tokenizer whose post-processor only adds tokens around the text");
  return {framed.begin(), at};
}

std::int32_t end_token(const text::Tokenizer& tokenizer) {
  if (const auto id = tokenizer.eos_id()) return *id;
  throw Error("the tokenizer has no end-of-text token, which ends every row",
              "name it as \"eos_token\" in the tokenizer's tokenizer_config.json");
}

void require_known_ids(const std::vector<std::int32_t>& ids, const RowNeeds& needs, const std::string& where) {
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < needs.vocab_size) continue;
    throw Error(
        where + ": token id " + std::to_string(id) + " is past the model's vocabulary of " + std::to_string(needs.vocab_size) + " tokens",
        "use the model's own tokenizer (this one has " + std::to_string(needs.tokenizer ? needs.tokenizer->vocab_size() : 0) +
            " tokens), or a model with model.vocab_size of at least that");
  }
}

std::unique_ptr<RowReader> make_row_reader(const DataConfig& config, const RowNeeds& needs, TextLines lines) {
  const DataConfig resolved = config.with_defaults();
  SLUICE_CHECK(needs.vocab_size > 0, "rows cannot be checked without the model's vocabulary size");
  if (resolved.format == Format::kTokenIds) return make_token_ids_reader(needs);
  if (!needs.tokenizer) {
    throw Error("data.format = " + std::string(names(resolved.format)[static_cast<std::size_t>(resolved.format)]) +
                    " needs a tokenizer and there is none",
                "set model.tokenizer to a folder or file, or give the rows as token_ids");
  }
  SLUICE_CHECK(!has_conversations(resolved.format), "conversations are not read line by line");
  return resolved.format == Format::kQa ? make_qa_reader(resolved, needs) : make_text_reader(resolved, needs, lines);
}

}  // namespace sluice::data
