// Ids and text against those recorded from HF's `tokenizers`, `sentencepiece` and `mistral-common` (shared/golden/README.md).
#include <gtest/gtest.h>

#include "sluice/base/file.h"
#include "sluice/base/json.h"
#include "sluice/text/stream_decoder.h"
#include "sluice/text/tokenizer.h"

namespace sluice::text {
namespace {

const fs::path kShared = SLUICE_SHARED_DIR;

struct Golden {
  const char* name;       // golden/tokenizers/NAME.jsonl
  const char* tokenizer;  // under shared
};

void PrintTo(const Golden& golden, std::ostream* out) { *out << golden.name; }

class GoldenTokenizer : public testing::TestWithParam<Golden> {
 protected:
  void SetUp() override {
    const fs::path path = kShared / "golden/tokenizers" / (std::string(GetParam().name) + ".jsonl");
    if (!fs::exists(path)) GTEST_SKIP() << "no golden file " << path << ": the shared reference data are not here";
    tokenizer_ = open_tokenizer(kShared / GetParam().tokenizer);
    LineReader lines(path);
    std::string line;
    while (lines.next(line)) rows_.push_back(parse_json(line, lines.where()));
    ASSERT_EQ(rows_.size(), 342U);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<Json> rows_;
};

TEST_P(GoldenTokenizer, EncodesEveryTextToTheSameIds) {
  int wrong = 0;
  for (const Json& row : rows_) {
    const bool add = row.at("add_special_tokens").get<bool>();
    const auto ids = tokenizer_->encode(row.at("text").get<std::string>(), add ? SpecialTokens::kAdd : SpecialTokens::kNone);
    if (ids == row.at("ids").get<std::vector<std::int32_t>>()) continue;
    if (++wrong <= 5) ADD_FAILURE() << dump_json(row) << "\n  got " << dump_json(Json(ids));
  }
  EXPECT_EQ(wrong, 0) << "of " << rows_.size();
}

TEST_P(GoldenTokenizer, DecodesEveryLineToTheSameText) {
  int wrong = 0;
  for (const Json& row : rows_) {
    if (row.at("add_special_tokens").get<bool>()) continue;  // no text was recorded for these
    const std::string expected = row.contains("decoded") ? row["decoded"] : row["text"];
    const std::string text = tokenizer_->decode(row.at("ids").get<std::vector<std::int32_t>>());
    if (text == expected) continue;
    if (++wrong <= 5) ADD_FAILURE() << dump_json(row) << "\n  got " << dump_json(Json(text));
  }
  EXPECT_EQ(wrong, 0);
}

TEST_P(GoldenTokenizer, StreamsTheTextThatDecodingAtOnceGives) {
  for (const Json& row : rows_) {
    const auto ids = row.at("ids").get<std::vector<std::int32_t>>();
    StreamDecoder stream(*tokenizer_);
    std::string text;
    for (const std::int32_t id : ids) text += stream.push(id);
    text += stream.flush();
    EXPECT_EQ(text, tokenizer_->decode(ids)) << dump_json(row);
  }
}

INSTANTIATE_TEST_SUITE_P(
    , GoldenTokenizer,
    testing::Values(Golden{"mixtral", "data/tokenizers/mixtral"}, Golden{"mixtral.spm", "data/tokenizers/mixtral/tokenizer.model"},
                    Golden{"llama2", "data/tokenizers/llama2"}, Golden{"llama2.spm", "data/tokenizers/llama2/tokenizer.model"},
                    Golden{"mistral_v3", "data/tokenizers/mistral_v3"},
                    Golden{"mistral_v3.spm", "data/tokenizers/mistral_v3/tokenizer.model"},
                    Golden{"stories260K", "data/weights/stories260K"},
                    Golden{"stories260K.spm", "data/weights/stories260K/tokenizer.model"}, Golden{"gpt2", "data/tokenizers/gpt2"},  //
                    Golden{"llama3_1", "data/tokenizers/llama3_1"}, Golden{"qwen3", "data/tokenizers/qwen3"},                       //
                    Golden{"deepseek_v3", "data/tokenizers/deepseek_v3"}, Golden{"gptoss", "data/tokenizers/gptoss"},
                    Golden{"mistral_tekken", "data/tokenizers/mistral_tekken"}),
    [](const testing::TestParamInfo<Golden>& golden) {
      std::string name = golden.param.name;
      for (char& c : name) c = c == '.' ? '_' : c;
      return name;
    });

}  // namespace
}  // namespace sluice::text
