#include "sluice/eval/routing_file.h"

#include <gtest/gtest.h>

#include <functional>

#include "sluice/base/json.h"
#include "sluice/data/categories.h"
#include "tests/unit/checkpoint/scratch.h"

namespace sluice::eval {
namespace {

using checkpoint::ScratchFolder;

RoutingFile example() {
  RoutingFile file;
  file.target = loss::Target::kLearned;
  file.categories = {data::kCategoryNames.begin(), data::kCategoryNames.end()};
  file.layers = {0, 3};
  file.tokens = loss::Tokens::kPrompt;
  file.preferences = {{1.0 / 3, 2.0 / 3}, {0.1, 0.9}, {static_cast<double>(0.3f), static_cast<double>(0.7f)}, {1, 0}};
  return file;
}

TEST(RoutingFile, ReadsBackWhatWasWrittenToTheLastBit) {
  const ScratchFolder folder;
  write_routing_file(folder.path(), example());
  const auto read = read_routing_file(folder.path());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->target, loss::Target::kLearned);
  EXPECT_EQ(read->categories, example().categories);
  EXPECT_EQ(read->layers, example().layers);
  EXPECT_EQ(read->tokens, loss::Tokens::kPrompt);
  EXPECT_EQ(read->preferences, example().preferences);
}

TEST(RoutingFile, IsNothingWhereThereIsNone) {
  const ScratchFolder folder;
  EXPECT_FALSE(read_routing_file(folder.path()));
}

TEST(RoutingFile, RefusesWhatIsNotWhole) {
  const ScratchFolder folder;
  write_routing_file(folder.path(), example());
  const Json whole = parse_json(read_file(folder / kRoutingFileName), "test");
  const auto refused = [&](const std::function<void(Json&)>& spoil) {
    Json spoilt = whole;
    spoil(spoilt);
    write_file_atomic(folder / kRoutingFileName, dump_json(spoilt));
    EXPECT_THROW(read_routing_file(folder.path()), Error) << dump_json(spoilt);
  };
  for (const auto& item : whole.items()) {
    refused([&](Json& file) { file.erase(item.key()); });
    refused([&](Json& file) { file[item.key()] = 7; });
  }
  refused([](Json& file) { file["target"] = "unbalanced"; });
  refused([](Json& file) { file["categories"][0] = file["categories"][1]; });
  refused([](Json& file) { file["categories"][0] = ""; });
  refused([](Json& file) { file["categories"].erase(3); });
  refused([](Json& file) { file["layers"] = Json::array(); });
  refused([](Json& file) { file["layers"][0] = -1; });
  refused([](Json& file) { file["preferences"][1] = {0.5, 0.4}; });
  refused([](Json& file) { file["preferences"][1] = {1.5, -0.5}; });
  refused([](Json& file) { file["preferences"][1] = {nullptr, 1}; });
  refused([](Json& file) { file["preferences"].erase(3); });
  refused([](Json& file) { file = Json::array(); });
}

TEST(RoutingFile, MustBeOfTheModel) {
  EXPECT_NO_THROW(example().require_fits({4, 2, 1, 0}, "test"));
  EXPECT_THROW(example().require_fits({3, 2, 1, 0}, "test"), Error);  // no layer 3
  EXPECT_THROW(example().require_fits({4, 8, 2, 0}, "test"), Error);  // preferences over 2 experts
}

}  // namespace
}  // namespace sluice::eval
