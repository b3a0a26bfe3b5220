#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/text/bpe_trainer.h"

namespace sluice::text {
namespace {

OrderedJson byte_level_component() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
}

OrderedJson added_tokens(const TrainedBpe& bpe) {
  OrderedJson tokens = OrderedJson::array();
  for (std::int64_t id = 0; id < bpe.num_special_tokens; ++id) {
    tokens.push_back({{"id", id},
                      {"content", bpe.tokens[static_cast<std::size_t>(id)]},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", true}});
  }
  return tokens;
}

OrderedJson model(const TrainedBpe& bpe) {
  OrderedJson vocab = OrderedJson::object(), merges = OrderedJson::array();
  auto& entries = vocab.get_ref<OrderedJson::object_t&>();  // appending by [] would search the whole object each time
  for (std::size_t id = 0; id < bpe.tokens.size(); ++id) entries.emplace_back(bpe.tokens[id], id);
  for (const auto& [left, right] : bpe.merges) merges.push_back(OrderedJson::array({left, right}));
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(vocab)},
          {"merges", std::move(merges)}};
}

std::string pretty(const OrderedJson& json) { return json.dump(1) + "\n"; }

}  // namespace

void write_tokenizer(const TrainedBpe& bpe, const TokenizerRoles& roles, const fs::path& folder) {
  const auto specials_end = bpe.tokens.begin() + bpe.num_special_tokens;
  OrderedJson config;
  for (const auto& [key, token] : {std::pair("bos_token", &roles.bos), {"eos_token", &roles.eos}, {"pad_token", &roles.pad}}) {
    if (!token->empty() && std::find(bpe.tokens.begin(), specials_end, *token) == specials_end) {
      throw Error(std::string(key) + " \"" + *token + "\" is not one of the tokenizer's special tokens", "add it to the special tokens");
    }
    config[key] = token->empty() ? OrderedJson(nullptr) : OrderedJson(*token);
  }
  config["model_max_length"] = roles.model_max_length;
  config["clean_up_tokenization_spaces"] = false;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";

  const OrderedJson tokenizer = {{"version", "1.0"},
                                 {"truncation", nullptr},
                                 {"padding", nullptr},
                                 {"added_tokens", added_tokens(bpe)},
                                 {"normalizer", nullptr},
                                 {"pre_tokenizer", byte_level_component()},
                                 {"post_processor", byte_level_component()},
                                 {"decoder", byte_level_component()},
                                 {"model", model(bpe)}};
  fs::create_directories(folder);
  write_file_atomic(folder / "tokenizer.json", pretty(tokenizer));
  write_file_atomic(folder / "tokenizer_config.json", pretty(config));
}

}  // namespace sluice::text
