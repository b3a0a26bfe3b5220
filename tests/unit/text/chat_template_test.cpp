// Conversations as recorded from Jinja and transformers (shared/golden/README.md), and where templates come from.
#include "sluice/text/chat_template.h"

#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "tests/unit/text/oracle.h"

namespace sluice::text {
namespace {

const fs::path kShared = SLUICE_SHARED_DIR;

class GoldenChat : public testing::TestWithParam<const char*> {};

TEST_P(GoldenChat, RendersEveryConversationToTheSameTextOrRefusal) {
  const fs::path path = kShared / "golden/chat" / (std::string(GetParam()) + ".jsonl");
  if (!fs::exists(path)) GTEST_SKIP() << "no golden file " << path << ": the shared reference data are not here";
  const auto chat = ChatTemplate::open(kShared / "data/tokenizers" / GetParam());
  ASSERT_NE(chat, nullptr);
  LineReader lines(path);
  int rows = 0;
  for (std::string line; lines.next(line); ++rows) {
    const OrderedJson row = parse_ordered_json(line, lines.where());
    std::string text, refusal;
    try {
      text = chat->render(read_conversation(row, lines.where())).text;
    } catch (const jinja::Refusal& error) {
      refusal = error.what();
    }
    EXPECT_EQ(text, row.value("rendered", "")) << lines.where();
    EXPECT_EQ(refusal, row.value("error", "")) << lines.where();
  }
  EXPECT_GT(rows, 20);
}

INSTANTIATE_TEST_SUITE_P(, GoldenChat,
                         testing::Values("deepseek_v2", "deepseek_v3", "llama2", "llama3", "llama3_1", "mistral_v3", "mixtral", "qwen2",
                                         "qwen3"),
                         [](const testing::TestParamInfo<const char*>& name) { return std::string(name.param); });

// A folder with files of the given contents.
class ChatFolder {
 public:
  ChatFolder& file(const std::string& name, const std::string& content) {
    fs::create_directories((folder_.path() / name).parent_path());
    write_file_atomic(folder_.path() / name, content);
    return *this;
  }
  std::unique_ptr<ChatTemplate> open() const { return ChatTemplate::open(folder_.path()); }
  std::string render(const OrderedJson& row = OrderedJson::object()) const {
    OrderedJson whole = {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
    whole.update(row);
    return open()->render(read_conversation(whole, "row")).text;
  }

 private:
  ScratchFolder folder_;
};

TEST(ChatTemplate, AFileOfItsOwnComesBeforeTheConfig) {
  ChatFolder folder;
  folder.file("tokenizer_config.json", R"({"chat_template": "config {{ bos_token }}", "bos_token": "<s>"})");
  EXPECT_EQ(folder.render(), "config <s>");
  folder.file("chat_template.jinja", "file {{ bos_token }}{{ messages[0].content }}\n");
  EXPECT_EQ(folder.render(), "file <s>Hi");
}

TEST(ChatTemplate, OfSeveralTemplatesToolsTakeToolUse) {
  ChatFolder folder;
  folder.file("tokenizer_config.json",
              R"({"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t{{ tools | length }}"}]})");
  EXPECT_EQ(folder.render(), "d");
  EXPECT_EQ(folder.render({{"tools", nullptr}}), "d");
  EXPECT_EQ(folder.render({{"tools", {{{"type", "function"}}}}}), "t1");
  folder.file("chat_template.jinja", "file").file("chat_templates/tool_use.jinja", "tool file");
  EXPECT_EQ(folder.render(), "file");
  EXPECT_EQ(folder.render({{"tools", OrderedJson::array()}}), "tool file");
}

TEST(ChatTemplate, SpecialTokensAreStringsOrObjectsAndNullsAreNotDefined) {
  ChatFolder folder;
  folder.file("chat_template.jinja", "{{ bos_token }}|{{ eos_token is defined }}|{{ unk_token }}|{{ add_bos_token is defined }}")
      .file("tokenizer_config.json", R"({"bos_token": {"content": "<b>", "lstrip": false}, "eos_token": null, "add_bos_token": true})")
      .file("special_tokens_map.json", R"({"eos_token": "</s>", "unk_token": {"content": "<u>"}})");
  EXPECT_EQ(folder.render(), "<b>|False|<u>|False");
}

TEST(ChatTemplate, FurtherNamesReachTheTemplate) {
  ChatFolder folder;
  folder.file("chat_template.jinja", "{{ enable_thinking }}{{ add_generation_prompt }}{{ tools is none }}{{ documents is none }}");
  EXPECT_EQ(folder.render({{"chat_template_kwargs", {{"enable_thinking", false}}}, {"add_generation_prompt", true}}), "FalseTrueTrueTrue");
}

TEST(ChatTemplate, AFolderWithoutATemplateHasNone) {
  ChatFolder folder;
  EXPECT_EQ(folder.open(), nullptr);
  folder.file("tokenizer_config.json", R"({"bos_token": "<s>", "chat_template": null})");
  EXPECT_EQ(folder.open(), nullptr);
}

TEST(ChatTemplate, FilesThatAreNotWholeAreErrorsThatNameThem) {
  for (const char* config :
       {R"([1])", R"({"chat_template": 5})", R"({"chat_template": [{"name": "x"}]})", R"({"chat_template": "{% if %}"})", "{"}) {
    ChatFolder folder;
    folder.file("tokenizer_config.json", config);
    try {
      folder.open();
      ADD_FAILURE() << config;
    } catch (const Error& error) {
      EXPECT_NE(error.problem().find("tokenizer_config.json"), std::string::npos) << error.problem();
    }
  }
}

TEST(ChatTemplate, ConversationsOfTheWrongShapeAreErrorsThatNameThePlace) {
  for (const char* row :
       {"[]", "{}", R"({"messages": []})", R"({"messages": "x"})", R"({"messages": [1]})", R"({"messages": [{"content": "x"}]})",
        R"({"messages": [{"role": 5}]})", R"({"messages": [{"role": "user"}], "tools": {}})",
        R"({"messages": [{"role": "user"}], "add_generation_prompt": 1})"}) {
    try {
      read_conversation(parse_ordered_json(row, "row"), "rows.jsonl:3");
      ADD_FAILURE() << row;
    } catch (const Error& error) {
      EXPECT_TRUE(error.problem().starts_with("rows.jsonl:3")) << error.problem();
    }
  }
}

}  // namespace
}  // namespace sluice::text
