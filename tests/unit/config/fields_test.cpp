#include "sluice/config/fields.h"

#include <gtest/gtest.h>

#include "sluice/config/recipe.h"

namespace sluice::config {
namespace {

enum class Colour { kRed, kGreen };
constexpr std::array<std::string_view, 2> names(Colour) { return {"red", "green"}; }

struct Inner {
  double rate = 0.5;
  std::optional<std::int64_t> limit;
  void fields(auto&& field) {
    field("rate", rate, "A rate.");
    field("limit", limit, "A limit.");
  }
};
struct Root {
  Inner inner;
  std::string name = "a: b";
  Colour colour = Colour::kRed;
  std::vector<std::int64_t> sizes{1, 2};
  void fields(auto&& field) {
    field("inner", inner, "");
    field("name", name, "A name.");
    field("colour", colour, "A colour.");
    field("sizes", sizes, "Sizes.");
  }
};

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Fields, AMisspeltKeyNamesTheNearestOne) {
  Root root;
  Violations violations;
  apply(root, {parse_override("inner.rat=1")}, violations);
  EXPECT_NE(message([&] { violations.raise("recipe"); }).find("did you mean 'inner.rate'"), std::string::npos);
}

TEST(Fields, AllViolationsAreReportedTogether) {
  Root root;
  Violations violations;
  apply(root, {parse_override("inner.rate=fast"), parse_override("colour=blue"), parse_override("nme=x")}, violations);
  const std::string what = message([&] { violations.raise("recipe"); });
  EXPECT_NE(what.find("3 problems"), std::string::npos);
  EXPECT_NE(what.find("red or green"), std::string::npos);
  EXPECT_NE(what.find("a number"), std::string::npos);
}

TEST(Fields, YamlLoadsBackToTheSameValues) {
  Root root;
  Violations violations;
  apply(root, {parse_override("inner.rate=1e-7"), parse_override("sizes=[3, 4, 5]"), parse_override("colour=green"), parse_override("inner.limit=7")}, violations);
  const fs::path path = fs::temp_directory_path() / "sluice_fields_test.yaml";
  write_file_atomic(path, to_yaml(root));
  Root again;
  apply(again, load_recipe(path, {}), violations);
  EXPECT_TRUE(violations.empty());
  EXPECT_TRUE(differences(root, again).empty());
  EXPECT_EQ(differences(Root(), again).size(), 4u);
  fs::remove(path);
}

TEST(Recipe, ABaseComesFirstAndACircleIsRefused) {
  const fs::path folder = fs::temp_directory_path() / "sluice_recipe_test";
  fs::create_directories(folder);
  write_file_atomic(folder / "base.yaml", "inner: {rate: 1, limit: 2}\n");
  write_file_atomic(folder / "child.yaml", "base: base\ninner:\n  rate: 3\n");
  write_file_atomic(folder / "loop.yaml", "base: loop.yaml\n");
  Root root;
  Violations violations;
  apply(root, load_recipe(folder / "child.yaml", {folder}), violations);
  EXPECT_EQ(root.inner.rate, 3);
  EXPECT_EQ(root.inner.limit, 2);
  EXPECT_NE(message([&] { load_recipe(folder / "loop.yaml", {folder}); }).find("circle"), std::string::npos);
  EXPECT_NE(message([&] { find_recipe("bsae", {folder}); }).find("base"), std::string::npos);
  fs::remove_all(folder);
}

TEST(Recipe, AnOverrideListMayBeginWithAStar) {
  const auto items = [](const std::string& text) {
    const Value value = parse_override("key=" + text).value;
    return value.is_list ? value.items : std::vector<std::string>{"(no list)"};
  };
  EXPECT_EQ(items("[*]"), (std::vector<std::string>{"*"}));
  EXPECT_EQ(items("[*.router.*, embedding.* ,*.norm.weight]"), (std::vector<std::string>{"*.router.*", "embedding.*", "*.norm.weight"}));
  EXPECT_EQ(items("[a, b]"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(items("[\"*\"]"), (std::vector<std::string>{"*"}));
  EXPECT_EQ(items("[]"), (std::vector<std::string>{}));
  for (const char* text : {"[*", "*]", "*", "[*,,a]", "[*,]", "[[*]]"}) EXPECT_EQ(items(text), (std::vector<std::string>{"(no list)"})) << text;
}

TEST(Recipe, AnExactAliasWinsOverItsSections) {
  std::vector<Setting> settings{parse_override("training.lr=1"), parse_override("training.seed=2")};
  resolve_aliases(settings, {{"training.*", "train.*"}, {"training.lr", "optimizer.lr"}});
  EXPECT_EQ(settings[0].key, "optimizer.lr");
  EXPECT_EQ(settings[1].key, "train.seed");
}

TEST(Recipe, ASectionsAliasMayGiveAnExactOne) {
  std::vector<Setting> settings{parse_override("training.learning_rate=1")};
  resolve_aliases(settings, {{"training.*", "train.*"}, {"train.learning_rate", "optimizer.lr"}});
  EXPECT_EQ(settings[0].key, "optimizer.lr");
}

TEST(Recipe, AnAliasRenamesTheValuesThatItNamesInAnyCaseOfLetters) {
  std::vector<Setting> settings{parse_override("checkpointing=True"), parse_override("checkpointing=false"), parse_override("checkpointing=selective")};
  resolve_aliases(settings, {{"checkpointing", "memory.recompute", {{"true", "full"}, {"false", "none"}}}});
  EXPECT_EQ(settings[0].value.items[0], "full");
  EXPECT_EQ(settings[1].value.items[0], "none");
  EXPECT_EQ(settings[2].value.items[0], "selective");
}

}  // namespace
}  // namespace sluice::config
