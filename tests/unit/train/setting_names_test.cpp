#include "sluice/train/setting_names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "sluice/train/recipe.h"

namespace sluice::train {
namespace {

bool is_setting(const std::string& key) {
  const std::vector<std::string> keys = setting_keys();
  return std::ranges::find(keys, key) != keys.end() || std::ranges::find(size_aliases(), key, &SizeAlias::from) != size_aliases().end();
}

TEST(SettingNames, EachAliasIsThereOnceLeadsToASettingAndHidesNone) {
  std::set<std::string> seen;
  for (const config::Alias& alias : aliases()) {
    EXPECT_TRUE(seen.insert(alias.from).second) << alias.from;
    if (alias.from.ends_with(".*")) continue;
    EXPECT_TRUE(is_setting(alias.to)) << alias.from << " -> " << alias.to;
    EXPECT_FALSE(is_setting(alias.from)) << alias.from;
  }
  for (const Flag& flag : flags()) EXPECT_TRUE(is_setting(flag.key)) << flag.name;
}

TEST(SettingNames, AMisspeltAliasSuggestsTheSettingThatItStandsFor) {
  EXPECT_EQ(did_you_mean("learnin_rate"), "did you mean 'optimizer.lr'?");
  EXPECT_EQ(did_you_mean("train.batch_size"), "did you mean 'train.micro_batch_size' or 'train.global_batch_size'?");
}

TEST(SettingNames, UnknownOnesAreTakenOutAndNamed) {
  std::vector<config::Setting> settings{{"optimizer.lrr", {{"1"}}, "a.yaml:3"}, {"optimizer.lr", {{"1"}}, "a.yaml:4"}, {"model.num_moe_experts", {{"1"}}, "a.yaml:5"}};
  Violations violations;
  check_names(settings, violations);
  EXPECT_EQ(settings.size(), 2u);
  EXPECT_THROW(violations.raise("names"), Error);
}

TEST(SettingNames, OneFileMaySayAThingOnceAndTheCommandLineAgain) {
  std::vector<config::Setting> settings{{"optimizer.lr", {{"1"}}, "base.yaml:1"}, {"optimizer.lr", {{"2"}}, "a.yaml:4"}, {"optimizer.lr", {{"3"}}, "command line"},
                                        {"optimizer.lr", {{"4"}}, "command line"}};
  Violations once;
  check_names(settings, once);
  EXPECT_TRUE(once.empty());
  settings.push_back({"optimizer.lr", {{"5"}}, "a.yaml:9"});
  Violations twice;
  check_names(settings, twice);
  EXPECT_FALSE(twice.empty());
}

}  // namespace
}  // namespace sluice::train
