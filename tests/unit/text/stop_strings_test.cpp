#include "sluice/text/stop_strings.h"

#include <gtest/gtest.h>

namespace sluice::text {
namespace {

// All that is shown of the pieces, with | where nothing more would come.
std::string shown(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopStrings text(stops);
  std::string out;
  for (const std::string& piece : pieces) {
    out += text.push(piece);
    if (text.found()) return out + "|";
  }
  return out + text.flush();
}

TEST(StopStrings, EndTheTextBeforeTheFirstOfThemHoweverItIsCut) {
  EXPECT_EQ(shown({"END"}, {"abEN", "Dc"}), "ab|");
  EXPECT_EQ(shown({"END"}, {"a", "E", "N", "D"}), "a|");
  EXPECT_EQ(shown({"b", "a"}, {"xab"}), "x|");
  EXPECT_EQ(shown({"aab"}, {"aaab"}), "a|");
}

TEST(StopStrings, WhatOnlyLooksLikeABeginningIsShownAfterAll) {
  EXPECT_EQ(shown({"END"}, {"EN", "x", "EN"}), "ENxEN");
  EXPECT_EQ(shown({}, {"a", "b"}), "ab");
  StopStrings text({"END"});
  EXPECT_EQ(text.push("abE"), "ab");
  EXPECT_EQ(text.push("F"), "EF");
}

}  // namespace
}  // namespace sluice::text
