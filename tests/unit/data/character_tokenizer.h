// A tokenizer's folder for tests: one token a printable ASCII character, and special tokens.
#pragma once
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/base/json.h"
#include "sluice/data/instruct/templates.h"
#include "sluice/text/tokenizer.h"

namespace sluice::data {

class CharacterTokenizer {
 public:
  // `specials` are tokens 0, 1, ...; the first is BOS, put before each text when `adds_bos`, and the second EOS. With `chat_template` as
  // its own.
  enum class Bos { kNone, kAdds };
  explicit CharacterTokenizer(const std::vector<std::string>& specials = {"<s>", "</s>", "<|im_start|>", "<|im_end|>"},
                              Bos bos = Bos::kNone, const std::string& chat_template = "")
      : folder_(fs::temp_directory_path() / ("sluice_characters_" + std::to_string(getpid()) + "_" + std::to_string(next_++))) {
    fs::create_directories(folder_);
    OrderedJson added = OrderedJson::array(), vocab = OrderedJson::object();
    for (std::size_t i = 0; i < specials.size(); ++i) {
      added.push_back({{"id", i},
                       {"content", specials[i]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}});
      vocab[specials[i]] = i;
    }
    std::vector<std::string> pieces{"\u0120", "\u010A"};  // what ByteLevel makes of a blank and a line end
    for (char c = '!'; c <= '~'; ++c) pieces.emplace_back(1, c);
    for (const std::string& piece : pieces) vocab[piece] = vocab.size();
    OrderedJson json{{"version", "1.0"},
                     {"added_tokens", added},
                     {"normalizer", nullptr},
                     {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}},
                     {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}},
                     {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", OrderedJson::array()}}}};
    json["post_processor"] = nullptr;
    if (bos == Bos::kAdds) {
      json["post_processor"] = {
          {"type", "TemplateProcessing"},
          {"single", {{{"SpecialToken", {{"id", specials[0]}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
          {"pair", OrderedJson::array()},
          {"special_tokens", {{specials[0], {{"id", specials[0]}, {"ids", {0}}, {"tokens", {specials[0]}}}}}}};
    }
    write("tokenizer.json", dump_json(json));
    OrderedJson config{{"bos_token", specials[0]}, {"eos_token", specials[1]}};
    if (!chat_template.empty()) config["chat_template"] = chat_template;
    write("tokenizer_config.json", dump_json(config));
    tokenizer_ = text::open_tokenizer(folder_);
  }
  ~CharacterTokenizer() { fs::remove_all(folder_); }
  CharacterTokenizer(const CharacterTokenizer&) = delete;
  CharacterTokenizer& operator=(const CharacterTokenizer&) = delete;

  const text::Tokenizer& operator*() const { return *tokenizer_; }
  const fs::path& folder() const { return folder_; }
  TokenizerSource source() const { return {tokenizer_.get(), folder_}; }
  void write(const std::string& name, const std::string& bytes) const { std::ofstream(folder_ / name, std::ios::binary) << bytes; }

 private:
  static inline int next_ = 0;
  fs::path folder_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
};

}  // namespace sluice::data
