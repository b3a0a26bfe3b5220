#include <gtest/gtest.h>

#include <cmath>

#include "sluice/monitor/numbers.h"
#include "sluice/monitor/terminal.h"
#include "sluice/monitor/utilization.h"

namespace sluice::monitor {
namespace {

TEST(Numbers, ReadAsPeopleWriteThem) {
  EXPECT_EQ(format_grouped(4321.4), "4,321");
  EXPECT_EQ(format_grouped(-1234567), "-1,234,567");
  EXPECT_EQ(format_grouped(999), "999");
  EXPECT_EQ(format_grouped(std::nan("")), "nan");
  EXPECT_EQ(format_scientific(1e-5), "1.0e-05");
  EXPECT_EQ(format_duration(192), "03:12");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(2 * 86400 + 3 * 3600 + 240), "2d 03:04");
  EXPECT_EQ(format_duration(std::nan("")), "--:--");
  EXPECT_EQ(format_bytes(0), "0 bytes");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(format_percent(0.125), "12.5 %");
  EXPECT_EQ(format_short(0.0213), "0.0213");
  EXPECT_EQ(format_short(12345), "12.3k");
  EXPECT_EQ(format_short(0), "0");
  EXPECT_EQ(format_fixed(1e300, 4), "1.000e+300");
}

TEST(Terminal, CutsAtTheWidthOfWhatIsSeen) {
  const std::string red = "\x1b[31mabc\x1b[0mdef";
  EXPECT_EQ(display_width(red), 6);
  EXPECT_EQ(fit(red, 6), red);
  EXPECT_EQ(fit(red, 2), "\x1b[31mab\x1b[0m");
  EXPECT_EQ(display_width("█▁é"), 3);
  EXPECT_EQ(display_width("漢字"), 4);
  EXPECT_EQ(fit("漢字", 3), "漢");
  EXPECT_EQ(pad_left("é", 3), "  é");
}

TEST(Terminal, TakesControlAndEscapeOutOfForeignText) {
  EXPECT_EQ(printable("a\x1b[2Jb\tc\r\x07"), "a [2Jb c  ");
  EXPECT_EQ(printable("\xff\xc3"), "\xff\xc3");  // not UTF-8, but harmless; and nothing is read past the end
}

TEST(Terminal, PaintsOnlyInColor) {
  EXPECT_EQ(paint({.color = false}, Color::kRed, "x"), "x");
  EXPECT_EQ(paint({.color = true}, Color::kRed, "x"), "\x1b[31mx\x1b[0m");
}

TEST(Terminal, BarsFillInProportion) {
  EXPECT_EQ(progress_bar({}, 0.5, 10), "#####-----");
  EXPECT_EQ(progress_bar({.unicode = true}, 0.625, 4), "██▌░");
  EXPECT_EQ(progress_bar({}, std::nan(""), 3), "---");
  EXPECT_EQ(progress_bar({}, 7, 3), "###");
  EXPECT_EQ(level({.unicode = true}, 1), "█");
  EXPECT_EQ(level({.unicode = true}, 0.001), "▁");
  EXPECT_EQ(level({.unicode = true}, 0), " ");
}

TEST(Terminal, SparklineRunsFromLowestToHighest) {
  const std::vector<double> values = {1, 2, 3, std::nan(""), 8};
  EXPECT_EQ(sparkline({.unicode = true}, values, 10), "▁▂▃ █");
  EXPECT_EQ(sparkline({.unicode = true}, std::vector<double>{4, 4}, 10), "▄▄");
  const std::vector<double> many = {0, 0, 10, 10};
  EXPECT_EQ(sparkline({.unicode = true}, many, 2), "▁█");
  EXPECT_EQ(sparkline({}, {}, 10), "");
  EXPECT_EQ(sparkline({}, many, -1), "");
}

TEST(Utilization, WarnsUnderFiveAndOverTwentyFivePercentOfEightExperts) {
  const ShareLimits limits(8);
  EXPECT_DOUBLE_EQ(limits.low, 0.05);
  EXPECT_DOUBLE_EQ(limits.high, 0.25);
  const ExpertShares shares = {std::vector<double>(8, 0.125), {0.30, 0.04, 0.11, 0.11, 0.11, 0.11, 0.11, 0.11}};
  const auto warnings = load_warnings(shares);
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_EQ(describe(warnings[0], limits), "layer 1, expert 0 receives 30.0 % of tokens, over 25.0 %: routing is imbalanced");
  EXPECT_EQ(describe(warnings[1], limits), "layer 1, expert 1 receives 4.0 % of tokens, under 5.0 %: the router is collapsing");
  EXPECT_NE(remedy(warnings[1].load).find("moe.router_aux_loss_coef"), std::string::npos);
}

TEST(Utilization, LimitsFollowTheNumberOfExperts) {
  EXPECT_DOUBLE_EQ(ShareLimits(64).low, 0.4 / 64);
  EXPECT_EQ(load_of(1.0, ShareLimits(1)), Load::kEven);
  EXPECT_EQ(load_of(0.9, ShareLimits(2)), Load::kEven);
  EXPECT_EQ(load_of(0.1, ShareLimits(2)), Load::kCollapsing);
}

TEST(Utilization, EffectiveExpertsIsTheirNumberWhenEven) {
  EXPECT_NEAR(effective_experts(std::vector<double>(8, 0.125)), 8, 1e-12);
  EXPECT_NEAR(effective_experts({1, 0, 0, 0}), 1, 1e-12);
}

}  // namespace
}  // namespace sluice::monitor
