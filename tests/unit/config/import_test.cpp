// Other systems' settings as ours: renamed, passed over or refused, and written as a recipe that reads back.
#include "sluice/config/import.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "sluice/base/file.h"
#include "sluice/config/import_rules.h"
#include "sluice/config/recipe.h"

namespace sluice::config {
namespace {

Setting setting(const std::string& key, const std::string& value) { return {key, {{value}}, "their.yaml:1"}; }

std::optional<Setting> nothing_of_ours(const Setting&) { return std::nullopt; }

std::string value_of(const Imported& imported, const std::string& key) {
  for (const Setting& one : imported.settings) {
    if (one.key == key) return text_of(one.value);
  }
  return "(none)";
}

TEST(Import, TheLastOfTwoValuesOfOneKeyHolds) {
  const Imported imported =
      import_settings(System::kVerl, {setting("data.max_length", "10"), setting("data.max_length", "20")}, nothing_of_ours);
  EXPECT_EQ(value_of(imported, "data.seq_length"), "20");
  EXPECT_EQ(imported.report, std::vector<std::string>{"data.max_length = 20 -> data.seq_length = 20"});
}

TEST(Import, ANullLeavesOurDefault) {
  const Imported imported =
      import_settings(System::kVerl, {{"trainer.total_training_steps", {{}, false, true}, "their.yaml:1"}}, nothing_of_ours);
  EXPECT_TRUE(imported.settings.empty());
  EXPECT_EQ(imported.report.size(), 1);
}

TEST(Import, AKeyWithoutARuleIsTakenOnlyWhenItIsASpellingOfOurs) {
  const OwnSpelling lr = [](const Setting& theirs) {
    return theirs.key == "training.lr" ? std::optional(Setting{"optimizer.lr", theirs.value, theirs.where}) : std::nullopt;
  };
  EXPECT_EQ(value_of(import_settings(System::kPrimus, {setting("training.lr", "1e-4")}, lr), "optimizer.lr"), "1e-4");
  EXPECT_THROW(import_settings(System::kPrimus, {setting("training.lr", "1e-4")}, nothing_of_ours), Error);
}

TEST(Import, EveryKeyThatIsRefusedIsInOneError) {
  try {
    import_settings(System::kDeepspeed, {setting("fp16.enabled", "true"), setting("scheduler.type", "OneCycle"), setting("made.up", "1")},
                    nothing_of_ours);
    FAIL() << "nothing was refused";
  } catch (const Error& error) {
    const std::string what = error.what();
    for (const char* const part : {"3 problems", "fp16.enabled = true", "scheduler.type = OneCycle", "made.up = 1 is not known here"}) {
      EXPECT_NE(what.find(part), std::string::npos) << what;
    }
  }
}

TEST(Import, TwoKeysThatMeanOneSettingMustAgree) {
  const auto import_both = [](const std::string& other) {
    return import_settings(System::kMegatronBridge,
                           {setting("optimizer.adam_eps", "1e-8"), setting("dataset.seq_length", "64"), setting("model.seq_length", other)},
                           nothing_of_ours);
  };
  EXPECT_EQ(value_of(import_both("64"), "data.seq_length"), "64");
  EXPECT_THROW(import_both("65"), Error);
}

TEST(RecipeYaml, ReadsBackAsTheSameSettings) {
  const std::vector<Setting> settings{{"data.path", {{"a b: c.jsonl"}}, "x"},
                                      {"data.columns.prompt", {{"question"}}, "x"},
                                      {"train.epochs", {{"2"}}, "x"},
                                      {"lora.use_lora", {{"True"}}, "x"},
                                      {"lora.target_modules", {{"q_proj", "*.w1"}, true}, "x"},
                                      {"train.global_batch_size", {{}, false, true}, "x"},
                                      {"output_dir", {{"runs/#1"}}, "x"}};
  const fs::path file = fs::temp_directory_path() / ("sluice_import_" + std::to_string(getpid()) + ".yaml");
  write_file_atomic(file, recipe_yaml(settings));
  const std::vector<Setting> read = load_recipe(file, {});
  fs::remove(file);
  ASSERT_EQ(read.size(), settings.size());
  for (const Setting& one : settings) {
    const auto found = std::ranges::find(read, one.key, &Setting::key);
    ASSERT_NE(found, read.end()) << one.key;
    EXPECT_EQ(text_of(found->value), text_of(one.value)) << one.key;
  }
}

}  // namespace
}  // namespace sluice::config
