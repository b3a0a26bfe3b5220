#include "sluice/config/yaml_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "sluice/base/error.h"
#include "sluice/config/recipe.h"

namespace sluice::config {
namespace {

// What loading a recipe of this text says: "file" stands for its path; empty where it loads.
std::string message(const std::string& text) {
  const fs::path path = fs::temp_directory_path() / ("sluice_yaml_file_test_" + std::to_string(getpid()) + ".yaml");
  write_file_atomic(path, text);
  std::string said;
  try {
    load_recipe(path, {});
  } catch (const Error& error) {
    said = error.what();
  }
  fs::remove(path);
  for (auto at = said.find(path.string()); at != std::string::npos; at = said.find(path.string())) said.replace(at, path.string().size(), "file");
  return said;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(YamlFile, AnUnclosedQuoteIsNamedWhereItBegins) {
  for (const char* const text : {"train:\n  seed: 1\n  note: \"1\n  lr: 2\nmodel:\n  a: 1\n", "train:\n  seed: 1\n  note: \"1", "\xEF\xBB\xBFtrain:\n  seed: 1\n  note: \"1\n"}) {
    EXPECT_TRUE(has(message(text), "file:3:9: the quote that begins here is never closed: \"1")) << message(text);
  }
  EXPECT_TRUE(has(message("'train:\n  seed: 1\n"), "file:1:1: the quote")) << message("'train:\n  seed: 1\n");
  EXPECT_EQ(message("train:\n  a: 'it''s'\n  b: \"\\\"\"\n  c: it's\n  d: \"two\n    lines\"\n"), "");
}

TEST(YamlFile, WhatIsNoYamlIsNamedByLineAndColumnWithWhatStandsThere) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases{
      {"train:\n  seed: 1\n lr: 2\n", {"file:3:2: not valid YAML", "at: lr: 2", "same column"}},
      {"train:\n  seed: 1\n    lr: 2\n", {"file:3:7: not valid YAML", "at: lr: 2", "same column"}},
      {"train:\n\tseed: 1\n", {"file:2:6", "at: seed: 1", "spaces"}},
      {"train:\n  freeze: [1, 2\nb: 3\n", {"file:2:11: not valid YAML: the [ that opens here is not closed", "at: freeze: [1, 2", "bracket"}},
      {"train: {a: [1, 2], b: 3\nmodel:\n  c: 4\n", {"file:1:8: not valid YAML: the { that opens here"}},
      {"train:\n  freeze: [a, 'it''s]\n", {"file:4:1", "close quotes inside it"}},
      {"model: [", {"file:1:8", "at: model: [", "bracket"}},
      {"train:\n  seed:1\n  b: 2\n", {"file:3:4", "at: b: 2", "colon and a space", "line above"}},
      {"train:\n  freeze: *.router.*\n", {"file:2:11", "at: freeze: *.router.*", "quotes"}},
      {"train:\n  note: \"x\n  other: \"y\"\n", {"file:3:11", "at: other: \"y\"", "quotes end"}},
      {"train:\n  seed: 1\n---\nmodel:\n  a: 1\n", {"2 YAML documents"}},
  };
  for (const auto& [text, parts] : cases) {
    for (const std::string& part : parts) EXPECT_TRUE(has(message(text), part)) << part << " is not in " << message(text);
  }
  const std::string orders = message("a: @" + std::string(500, 'x') + "\x1b[31m\n");
  EXPECT_LT(orders.size(), 400u) << "a message holds a line of any length";
  EXPECT_FALSE(has(message("a: @\x1b[31m\n"), "\x1b"));
}

TEST(YamlFile, AKeyThatIsGivenTwiceIsNamedWithBothLines) {
  EXPECT_TRUE(has(message("train:\n  seed: 1\n  lr: 2\n  seed: 3\n"), "file:4: 'train.seed' is given twice, in line 2 too"));
  EXPECT_TRUE(has(message("train:\n  seed: 1\nmodel: {}\ntrain:\n  lr: 2\n"), "file:4: 'train' is given twice, in line 1 too"));
  EXPECT_TRUE(has(message("train.seed: 1\ntrain:\n  seed: 3\n"), "file:3: 'train.seed' is given twice, in line 1 too"));
}

}  // namespace
}  // namespace sluice::config
