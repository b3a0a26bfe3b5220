#include "sluice/data/balance.h"

#include <map>
#include <set>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "tests/unit/data/scratch_rows.h"

namespace sluice::data {
namespace {

// `counts[k]` rows of category k, mixed.
std::string labelled_rows(std::array<int, 4> counts) {
  std::string rows;
  for (int i = 0; counts[0] + counts[1] + counts[2] + counts[3] > 0; ++i) {
    const auto k = static_cast<std::size_t>(i * 7 % 4);
    if (counts[k]-- <= 0) {
      counts[k] = 0;
      continue;
    }
    rows += "{\"id\": " + std::to_string(i) + ", \"expert_label\": \"" + std::string(kCategoryNames[k]) + "\"}\n";
  }
  return rows;
}

TEST(CategoryCounts, ReadNumbersAndAllAndRefuseTheRest) {
  EXPECT_EQ(parse_category_counts("multi_hop_reasoning=all,factual_lookup=20"), (CategoryCounts{20, 0, kAllRows, 0}));
  for (const char* bad : {"fact=3", "factual_lookup", "factual_lookup=", "factual_lookup=-1", "factual_lookup=3x",
                          "factual_lookup=1,factual_lookup=2", ",", "factual_lookup=99999999999999999999"}) {
    EXPECT_THROW(parse_category_counts(bad), Error) << bad;
  }
}

TEST(Balance, WritesTheCountsAskedForAndWhatThereIs) {
  const ScratchRows file(labelled_rows({50, 40, 30, 20}));
  const BalanceSummary summary = balance({file.path(), file.beside("out.jsonl"), {10, kAllRows, 100, 0}, 1});
  EXPECT_EQ(summary.available, (CategoryCounts{50, 40, 30, 20}));
  EXPECT_EQ(summary.written, (CategoryCounts{10, 40, 30, 0}));
  const auto in = lines_of(file.path()), out = lines_of(file.beside("out.jsonl"));
  std::map<std::string, int> labels;
  for (const std::string& line : out) ++labels[Json::parse(line)["expert_label"]];
  EXPECT_EQ(labels, (std::map<std::string, int>{{"factual_lookup", 10}, {"multi_hop_reasoning", 30}, {"numerical_reasoning", 40}}));
  const std::set<std::string> all(in.begin(), in.end()), chosen(out.begin(), out.end());
  EXPECT_EQ(chosen.size(), out.size()) << "a row was written twice";
  EXPECT_TRUE(std::includes(all.begin(), all.end(), chosen.begin(), chosen.end())) << "a row was not copied byte for byte";
  EXPECT_FALSE(
      std::is_sorted(out.begin(), out.end(), [](const auto& a, const auto& b) { return Json::parse(a)["id"] < Json::parse(b)["id"]; }));
}

TEST(Balance, TakesCategoriesOfTheUsersOwn) {
  const Categories own({"poem", "recipe"});
  const ScratchRows file("{\"expert_label\": \"recipe\"}\n{\"expert_label\": 0}\n{\"expert_label\": \"poem\"}\n");
  const CategoryCounts wanted = parse_category_counts("poem=1,recipe=all", own);
  EXPECT_EQ(balance({file.path(), file.beside("out.jsonl"), wanted, 1, own}).available, (CategoryCounts{2, 1}));
  EXPECT_EQ(lines_of(file.beside("out.jsonl")).size(), 2u);
  EXPECT_THROW(parse_category_counts("factual_lookup=1", own), Error);
  const ScratchRows past("{\"expert_label\": 2}\n");
  EXPECT_THROW(balance({past.path(), past.beside("out.jsonl"), wanted, 1, own}), Error);
}

TEST(Balance, DependsOnTheSeedAlone) {
  const ScratchRows file(labelled_rows({50, 50, 50, 50}));
  const auto run = [&](std::uint64_t seed) {
    balance({file.path(), file.beside("out.jsonl"), {5, 5, 5, 5}, seed});
    return read_file(file.beside("out.jsonl"));
  };
  const std::string first = run(3);
  EXPECT_EQ(run(3), first);
  EXPECT_NE(run(4), first);
}

// Each of 20 rows is in half of 150 samples: 75 times, with a standard deviation of 6.1; 5 deviations either way.
TEST(Balance, ChoosesEveryRowAlike) {
  const ScratchRows file(labelled_rows({20, 0, 0, 0}));
  std::map<std::string, int> chosen;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    balance({file.path(), file.beside("out.jsonl"), {10, 0, 0, 0}, seed});
    for (const std::string& line : lines_of(file.beside("out.jsonl"))) ++chosen[line];
  }
  EXPECT_EQ(chosen.size(), 20u);
  for (const auto& [line, count] : chosen) EXPECT_NEAR(count, 75, 31) << line;
}

TEST(Balance, RefusesRowsWithoutALabelAndAnEmptyChoice) {
  const ScratchRows unlabelled("{\"question\": \"who\"}\n");
  EXPECT_THROW(balance({unlabelled.path(), unlabelled.beside("out.jsonl"), {1, 1, 1, 1}, 1}), Error);
  const ScratchRows file(labelled_rows({5, 0, 0, 0}));
  EXPECT_THROW(balance({file.path(), file.beside("out.jsonl"), {0, kAllRows, 0, 0}, 1}), Error);
  EXPECT_EQ(file.files(), (std::vector<std::string>{"input.jsonl"}));
}

}  // namespace
}  // namespace sluice::data
