#include "sluice/eval/rouge.h"

#include <gtest/gtest.h>

namespace sluice::eval {
namespace {

// By hand: "the cat sat" in "the cat is on the mat" has "the cat" in order: P = 2/3, R = 2/6.
TEST(RougeL, IsTheHarmonicMeanOfBothShares) { EXPECT_DOUBLE_EQ(rouge_l("The cat sat.", "the cat is on the mat"), 2 * (2.0 / 3) * (2.0 / 6) / (2.0 / 3 + 2.0 / 6)); }

TEST(RougeL, OrderCounts) {
  EXPECT_DOUBLE_EQ(rouge_l("a b c", "a b c"), 1);
  EXPECT_DOUBLE_EQ(rouge_l("c b a", "a b c"), 1.0 / 3);
  EXPECT_DOUBLE_EQ(rouge_l("x", "a b c"), 0);
}

TEST(RougeL, NothingAgainstSomethingIsNothing) {
  EXPECT_EQ(rouge_l("", "a"), 0);
  EXPECT_EQ(rouge_l("...", "a"), 0);
}

TEST(RougeL, WordsAreLettersAndDigitsAndIdeographsStandAlone) {
  EXPECT_EQ(rouge_words("It's 3.5, na\u00efve!"), (std::vector<std::string>{"it", "s", "3", "5", "na\u00efve"}));
  EXPECT_EQ(rouge_words("\u5317\u4eac ok"), (std::vector<std::string>{"\u5317", "\u4eac", "ok"}));
}

}  // namespace
}  // namespace sluice::eval
