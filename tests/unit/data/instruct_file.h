// Reading conversations from a file made for one test.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sluice/base/json.h"
#include "sluice/data/instruct/conversations.h"
#include "tests/unit/data/scratch_rows.h"

namespace sluice::data {

inline DataConfig config_of(Format format) {
  DataConfig config;
  config.format = format;
  return config;
}

inline std::vector<InstructRow> conversations_of(const fs::path& path, const DataConfig& config, InstructCounts* counts = nullptr) {
  std::vector<InstructRow> rows;
  const InstructCounts counted = read_conversations(path, config, [&](InstructRow&& row) { rows.push_back(std::move(row)); });
  EXPECT_EQ(counted.conversations, static_cast<std::int64_t>(rows.size()));
  if (counts) *counts = counted;
  return rows;
}

// The messages of each conversation, but those of weight 0, of a JSONL file of `lines`, as JSON.
inline std::vector<std::string> messages_of(const std::string& lines, const DataConfig& config, InstructCounts* counts = nullptr) {
  const ScratchRows file(lines);
  std::vector<std::string> messages;
  for (const InstructRow& row : conversations_of(file.path(), config, counts)) {
    if (row.weight > 0) messages.push_back(row.conversation.messages.dump());
  }
  return messages;
}
inline std::vector<std::string> messages_of(const std::string& lines, Format format) { return messages_of(lines, config_of(format)); }

// What the Error about a JSONL file of `lines` says, without the file's name; empty when there is none.
inline std::string complaint_of(const std::string& lines, const DataConfig& config) {
  const ScratchRows file(lines);
  try {
    conversations_of(file.path(), config);
  } catch (const Error& error) {
    const std::string what = error.what(), name = file.path().string();
    EXPECT_TRUE(what.starts_with(name)) << what;
    EXPECT_FALSE(error.remedy().empty());
    return what.starts_with(name) ? what.substr(name.size()) : what;
  }
  return "";
}

}  // namespace sluice::data
