#include <gtest/gtest.h>

#include <algorithm>

#include "sluice/base/json.h"
#include "sluice/base/sha256.h"
#include "tests/unit/data/instruct_file.h"

namespace sluice::data {
namespace {

// The settings of tests/cli/test_instruct_data.py.
DataConfig config_from(const Json& entry) {
  DataConfig config;
  const auto formats = names(Format());
  config.format = static_cast<Format>(std::ranges::find(formats, entry["format"].get<std::string>()) - formats.begin());
  config.instruct.oasst_max_rank = entry["settings"].value("oasst_max_rank", 0);
  config.instruct.columns.fields(
      [&](const char* name, std::string& value, const char*) { value = entry["settings"].value(std::string("columns.") + name, value); });
  return config;
}

// One line of sorted ASCII JSON.
std::string line_of(const InstructRow& row) {
  const text::Conversation& conversation = row.conversation;
  return dump_json(Json::parse(OrderedJson{{"messages", conversation.messages}, {"tools", conversation.tools}}.dump())) + "\n";
}

TEST(ConversationFiles, OfTheSharedDataAreReadAsPlainPythonReadsThem) {
  const fs::path folder = fs::path(SLUICE_SHARED_DIR) / "data" / "instruct";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not beside the checkout";
  const Json record = Json::parse(read_file(fs::path(SLUICE_SOURCE_DIR) / "tests" / "unit" / "data" / "instruct_readings.json"));
  ASSERT_GT(record.size(), 20u);
  for (const auto& [name, entry] : record.items()) {
    InstructCounts counts;
    std::vector<std::string> lines;
    for (const InstructRow& row : conversations_of(folder / name, config_from(entry), &counts)) {
      if (row.weight > 0) lines.push_back(line_of(row));
    }
    if (entry["sorted"]) std::ranges::sort(lines);
    Sha256 hash;
    for (const std::string& line : lines) hash.add(line);
    EXPECT_EQ(counts.rows, entry["rows"]) << name;
    EXPECT_EQ(lines.size(), entry["conversations"]) << name;
    EXPECT_EQ(hash.finish(), entry["sha256"]) << name << ", first: " << lines.at(0);
  }
}

}  // namespace
}  // namespace sluice::data
