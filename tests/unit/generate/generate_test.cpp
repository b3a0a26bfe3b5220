#include "sluice/generate/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "sluice/base/error.h"
#include "sluice/checkpoint/safetensors.h"
#include "sluice/generate/logits.h"
#include "tests/unit/checkpoint/scratch.h"
#include "tests/unit/generate/tiny_model.h"

namespace sluice::generate {
namespace {

using Ids = std::vector<std::int32_t>;

// Greedy by the slow path: all logits again for every token.
Ids without_cache(const Runnable& runnable, Ids ids, int count) {
  Ids out;
  for (int i = 0; i < count; ++i) {
    const auto next = static_cast<std::int32_t>(logits(runnable, {ids})[0][-1].argmax().item<std::int64_t>());
    out.push_back(next);
    ids.push_back(next);
  }
  return out;
}

std::string problem(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.problem();
  }
  return "";
}

TEST(Generate, TheCacheGivesTheTokensOfWholePasses) {
  const TinyModel tiny;
  for (std::uint64_t stream = 0; stream < 5; ++stream) {
    const Ids prompt = random_ids(3 + 4 * stream, stream);
    EXPECT_EQ(generate(tiny.runnable(), {prompt}, {.max_tokens = 16})[0], without_cache(tiny.runnable(), prompt, 16)) << stream;
  }
}

TEST(Generate, PromptsSideBySideGetWhatEachGetsAlone) {
  const TinyModel tiny;
  for (const double temperature : {0.0, 1.0}) {
    GenerateOptions options{.max_tokens = 12, .sampling = {.temperature = temperature}, .seed = 9};
    const std::vector<Ids> prompts{random_ids(6, 1), random_ids(6, 2), random_ids(6, 3)};
    const auto together = generate(tiny.runnable(), prompts, options);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      options.first_index = i;
      EXPECT_EQ(together[i], generate(tiny.runnable(), {prompts[i]}, options)[0]) << i << " at temperature " << temperature;
    }
  }
}

TEST(Generate, EqualSeedsGiveEqualTextsAndOthersOtherOnes) {
  const TinyModel tiny;
  GenerateOptions options{.max_tokens = 20, .sampling = {.temperature = 1.5}, .seed = 1};
  const auto run = [&] { return generate(tiny.runnable(), {random_ids(5, 0)}, options)[0]; };
  const Ids first = run();
  EXPECT_EQ(run(), first);
  options.seed = 2;
  EXPECT_NE(run(), first);
}

TEST(Generate, EndsWithTheStopTokenAndCallsBackForEachToken) {
  const TinyModel tiny;
  const Ids prompt = random_ids(4, 0), whole = generate(tiny.runnable(), {prompt}, {.max_tokens = 16})[0];
  const std::int32_t stop = whole[5];
  const auto first = std::find(whole.begin(), whole.end(), stop);
  Ids seen;
  const auto out = generate(tiny.runnable(), {prompt}, {.max_tokens = 16, .stop_ids = {stop}},
                            [&](std::size_t, std::int32_t id) {
                              seen.push_back(id);
                              return Next::kGoOn;
                            });
  EXPECT_EQ(out[0], Ids(whole.begin(), first + 1));
  EXPECT_EQ(seen, out[0]);
}

TEST(Generate, ARowThatEndedDoesNotDisturbTheOthers) {
  const TinyModel tiny;
  const Ids a = random_ids(4, 0), b = random_ids(4, 7);
  const Ids whole_a = generate(tiny.runnable(), {a}, {.max_tokens = 16})[0];
  const GenerateOptions options{.max_tokens = 16, .stop_ids = {whole_a[0]}};
  const auto out = generate(tiny.runnable(), {a, b}, options);
  EXPECT_EQ(out[0].size(), 1u);
  EXPECT_EQ(out[1], generate(tiny.runnable(), {b}, options)[0]);
}

TEST(Generate, RefusesWhatCannotRunNamingTheLimit) {
  const TinyModel tiny;
  const auto with = [&](const Ids& prompt, std::int64_t max_tokens) {
    return problem([&] { generate(tiny.runnable(), {prompt}, {.max_tokens = max_tokens}); });
  };
  EXPECT_EQ(with({}, 4), "prompt 1 has no tokens");
  EXPECT_EQ(with({1, 61}, 4), "prompt 1: token id 61 is not from 0 to 60, the model's vocabulary");
  EXPECT_EQ(with({-1}, 4), "prompt 1: token id -1 is not from 0 to 60, the model's vocabulary");
  EXPECT_EQ(with(random_ids(60, 0), 5),
            "prompt 1: 60 tokens and 5 new ones are more than the model's 64 positions (max_position_embeddings)");
  EXPECT_EQ(with(random_ids(60, 0), 4), "");
  EXPECT_EQ(with({1}, 0), "max_tokens = 0 asks for no token");
}

TEST(Logits, WrittenFilesHoldWhatOnePassGives) {
  const TinyModel tiny;
  const TokenRows rows{random_ids(9, 0), random_ids(9, 1), random_ids(9, 2)};
  const checkpoint::ScratchFolder scratch;
  const fs::path path = scratch / "logits.safetensors";
  write_logits(tiny.runnable(), rows, path);
  const at::Tensor expected = logits(tiny.runnable(), rows);
  const checkpoint::SafetensorsFile file(path);
  const auto& view = file.require("logits");
  EXPECT_EQ(view.shape, (std::vector<std::int64_t>{3, 9, 61}));
  ASSERT_EQ(view.bytes.size(), expected.nbytes());
  EXPECT_EQ(std::memcmp(view.bytes.data(), expected.data_ptr(), view.bytes.size()), 0);
  for (std::size_t row = 0; row < 3; ++row) {  // rows do not see each other
    EXPECT_TRUE(at::allclose(logits(tiny.runnable(), {rows[row]})[0], expected[static_cast<std::int64_t>(row)], 1e-5, 1e-5));
  }
}

TEST(Logits, RefusesRowsOfUnequalLengthAndForeignIds) {
  const TinyModel tiny;
  const auto with = [&](const TokenRows& rows) { return problem([&] { logits(tiny.runnable(), rows); }); };
  EXPECT_EQ(with({{1, 2}, {3}}), "row 2 has 1 tokens and row 1 has 2");
  EXPECT_EQ(with({{1, 2}, {3, 99}}), "row 2: token id 99 is not from 0 to 60, the model's vocabulary");
  EXPECT_EQ(with({}), "there are no rows of tokens");
  EXPECT_NE(with({random_ids(65, 0)}), "");
}

TEST(TokenRows, AcceptsListsOfIdsAlone) {
  const checkpoint::ScratchFolder scratch;
  const fs::path path = scratch / "rows.json";
  const auto read = [&](const std::string& text) {
    write_file_atomic(path, text);
    return read_token_rows(path);
  };
  EXPECT_EQ(read("[[1, 2], [2147483647]]"), (TokenRows{{1, 2}, {2147483647}}));
  for (const char* wrong : {"[]", "[1, 2]", "[[1.5]]", "[[-1]]", "[[2147483648]]", "[[\"1\"]]", "{}", "[[1", ""}) {
    EXPECT_THROW(read(wrong), Error) << wrong;
  }
}

}  // namespace
}  // namespace sluice::generate
