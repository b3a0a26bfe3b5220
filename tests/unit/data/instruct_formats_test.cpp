#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/data/instruct/detect_format.h"
#include "tests/unit/data/instruct_file.h"

namespace sluice::data {
namespace {

using Texts = std::vector<std::string>;

TEST(Conversations, OfPromptsAndResponsesMayBeTextsOrMessages) {
  EXPECT_EQ(
      messages_of(R"({"prompt": "Who?", "response": "I."}
{"system": "Be brief.", "query": "Why?", "completion": "So."}
{"query": "c", "response": "d", "history": [["a", "b"]]}
{"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]}
)",
                  Format::kPromptResponse),
      (Texts{
          R"([{"role":"user","content":"Who?"},{"role":"assistant","content":"I."}])",
          R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Why?"},{"role":"assistant","content":"So."}])",
          R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}])",
          R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])"}));
}

TEST(Conversations, OfMessagesComeAsTemplatesExpectThem) {
  EXPECT_EQ(
      messages_of(
          R"({"messages": [{"role": "developer", "content": "d"}, {"role": "user", "content": "a", "name": "Ann", "x": null}, {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "id": "c1", "function": {"name": "f", "arguments": {"x": null}}}, {"name": "g", "arguments": {}}]}, {"role": "function", "content": "", "tool_call_id": "c1"}, {"role": "tool", "content": "2"}, {"reasoning": "hm", "content": "b", "role": "assistant"}]}
{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "value": "b"}], "loss_weight": 0.0}, {"role": "assistant", "content": [{"type": "reasoning", "value": "hm"}, {"type": "text", "text": "c"}, {"type": "tool_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"}], "loss_weight": 0.5}]}
{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "train": false}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c", "weight": 1}]}
{"messages": "[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]"}
)",
          Format::kMessages),
      (Texts{R"([{"role":"developer","content":"d"},{"role":"user","content":"a","name":"Ann"},{"role":"assistant","content":"",)"
             R"("tool_calls":[{"type":"function","id":"c1","function":{"name":"f","arguments":{"x":null}}},)"
             R"({"type":"function","function":{"name":"g","arguments":{}}}]},{"role":"tool","content":"","tool_call_id":"c1"},)"
             R"({"role":"tool","content":"2"},{"role":"assistant","content":"b","reasoning_content":"hm"}])",
             R"([{"role":"user","content":"ab","weight":0.0},{"role":"assistant","content":"c","reasoning_content":"hm",)"
             R"("tool_calls":[{"type":"function","function":{"name":"f","arguments":{"x":1}}}],"weight":0.5}])",
             R"([{"role":"user","content":"a"},{"role":"assistant","content":"","weight":0.0},{"role":"user","content":"b"},)"
             R"({"role":"assistant","content":"c","weight":1.0}])",
             R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])"}));
}

TEST(Conversations, CarryToolsVariablesWeightsAndLabelsOfTheirRow) {
  const ScratchRows file(
      R"({"prompt": "a", "response": "b", "tools": "[{\"name\": \"f\", \"parameters\": {}}]", "weight": 0.25, "expert_label": "factual_lookup", "chat_template_kwargs": {"enable_thinking": false}}
{"prompt": "a", "response": "b", "tools": [{"type": "function", "function": {"name": "f"}}], "weight": true}
{"prompt": "a", "response": "b", "tools": "", "weight": 0}
{"prompt": "a", "response": "b", "tools": [], "weight": null}
)");
  InstructCounts counts;
  const auto rows = conversations_of(file.path(), config_of(Format::kPromptResponse), &counts);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].conversation.tools.dump(), R"([{"type":"function","function":{"name":"f","parameters":{}}}])");
  EXPECT_EQ(rows[1].conversation.tools.dump(), R"([{"type":"function","function":{"name":"f"}}])");
  EXPECT_TRUE(rows[2].conversation.tools.is_null());
  EXPECT_TRUE(rows[3].conversation.tools.is_null());
  EXPECT_EQ(rows[0].weight, 0.25f);
  EXPECT_EQ(rows[1].weight, 1.f);
  EXPECT_EQ(rows[2].weight, 0.f);
  EXPECT_EQ(rows[0].expert_label, "factual_lookup");
  EXPECT_TRUE(rows[1].expert_label.is_null());
  EXPECT_EQ(rows[0].conversation.variables.dump(), R"({"enable_thinking":false})");
  EXPECT_EQ(counts.rows, 4);
  EXPECT_EQ(counts.conversations, 4);
  EXPECT_EQ(counts.filtered, 0);
  EXPECT_EQ(rows[3].where, file.path().string() + ":4");
}

TEST(Conversations, OfInstructionsJoinInstructionAndInputAndKeepBoth) {
  const std::string joined =
      R"({"role":"user","content":"Add.\n1 2","instruction":"Add.","input":"1 2"},{"role":"assistant","content":"3"}])";
  EXPECT_EQ(messages_of(R"({"instruction": "Add.", "input": "1 2", "output": "3", "history": [["a", "b"]], "system": "s"}
{"instruction": "Sing.", "input": "", "response": "la"}
)",
                        Format::kAlpaca),
            (Texts{R"([{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},)" + joined,
                   R"([{"role":"user","content":"Sing."},{"role":"assistant","content":"la"}])"}));
  EXPECT_EQ(messages_of(R"({"instruction": "Add.", "context": "1 2", "response": "3", "category": "open_qa"})", Format::kDolly),
            (Texts{"[" + joined}));
  EXPECT_EQ(messages_of(R"({"instruction": "Add.", "instances": [{"input": "1 2", "output": "3"}, {"input": "", "output": "none"}]})",
                        Format::kSelfInstruct),
            (Texts{"[" + joined, R"([{"role":"user","content":"Add."},{"role":"assistant","content":"none"}])"}));
}

TEST(Conversations, OfShareGptMapSpeakersAndJoinCallsToTheMessageBefore) {
  EXPECT_EQ(
      messages_of(
          R"({"system": "s", "conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"}, {"from": "observation", "value": "1"}, {"from": "gpt", "value": "b"}]}
{"conversations": [{"from": "system", "value": "s"}, {"from": "user", "value": "a"}, {"from": "gpt", "value": "wait"}, {"from": "function_call", "value": "[{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\", \"arguments\": {}}]"}]}
{"conversation": [{"human": "a", "assistant": "b"}, {"human": "c", "assistant": "d"}]}
{"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
{"conversations": [{"from": "human", "value": "a", "loss_weight": 0}, {"from": "gpt", "value": "b", "train": false}]}
)",
          Format::kSharegpt),
      (Texts{
          R"([{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":)"
          R"([{"type":"function","function":{"name":"f","arguments":{"x":1}}}]},{"role":"tool","content":"1"},{"role":"assistant","content":"b"}])",
          R"([{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"wait","tool_calls":)"
          R"([{"type":"function","function":{"name":"f","arguments":{}}},{"type":"function","function":{"name":"g","arguments":{}}}]}])",
          R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}])",
          R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])",
          R"([{"role":"user","content":"a","weight":0.0},{"role":"assistant","content":"b","weight":0.0}])"}));
}

// The texts of each conversation, for trees: what matters is which branches there are.
Texts branches_of(const std::string& lines, const InstructConfig& settings = {}, InstructCounts* counts = nullptr) {
  DataConfig config = config_of(Format::kOasst);
  config.instruct = settings;
  Texts branches;
  for (const std::string& text : messages_of(lines, config, counts)) {
    std::string branch;
    for (const auto& message : Json::parse(text))
      branch += (branch.empty() ? "" : " ") + message["role"].get<std::string>().substr(0, 1) + ":" + message["content"].get<std::string>();
    branches.push_back(branch);
  }
  return branches;
}

// Q with answers A (rank 0) and B (rank 1); after A two replies, of which one is answered twice without ranks; after B an answered one in
// German.
const std::string kTree =
    R"({"message_tree_id": "Q", "prompt": {"message_id": "Q", "text": "Q", "role": "prompter", "lang": "en", "replies": [)"
    R"({"message_id": "A", "text": "A", "role": "assistant", "lang": "en", "rank": 0, "replies": [{"message_id": "r", "text": "r", "role": "prompter", "lang": "en", "replies": []},)"
    R"({"message_id": "s", "text": "s", "role": "prompter", "lang": "en", "replies": [{"message_id": "C", "text": "C", "role": "assistant", "lang": "en"},)"
    R"({"message_id": "D", "text": "D", "role": "assistant", "lang": "en", "rank": null}]}]},)"
    R"({"message_id": "B", "text": "B", "role": "assistant", "lang": "en", "rank": 1, "replies": [{"message_id": "t", "text": "t", "role": "prompter", "lang": "de",)"
    R"( "replies": [{"message_id": "E", "text": "E", "role": "assistant", "lang": "de"}]}]}]}})"
    "\n";
const std::string kFlat = R"({"message_id": "E", "parent_id": "t", "text": "E", "role": "assistant", "lang": "de"}
{"message_id": "Q", "parent_id": null, "text": "Q", "role": "prompter", "lang": "en"}
{"message_id": "A", "parent_id": "Q", "text": "A", "role": "assistant", "lang": "en", "rank": 0}
{"message_id": "B", "parent_id": "Q", "text": "B", "role": "assistant", "lang": "en", "rank": 1.0}
{"message_id": "r", "parent_id": "A", "text": "r", "role": "prompter", "lang": "en"}
{"message_id": "s", "parent_id": "A", "text": "s", "role": "prompter", "lang": "en"}
{"message_id": "C", "parent_id": "s", "text": "C", "role": "assistant", "lang": "en"}
{"message_id": "D", "parent_id": "s", "text": "D", "role": "assistant", "lang": "en"}
{"message_id": "t", "parent_id": "B", "text": "t", "role": "prompter", "lang": "de"}
)";

TEST(Conversations, OfOasstTreesFollowTheBestAnswersByDefault) {
  InstructCounts counts;
  EXPECT_EQ(branches_of(kTree, {}, &counts), (Texts{"u:Q a:A u:s a:C", "u:Q a:A u:s a:D"}));
  EXPECT_EQ(counts.filtered, 3);  // B, t, E
  EXPECT_EQ(counts.rows, 1);
}

TEST(Conversations, OfOasstTreesFollowAllAnswersUpToARankAndLanguagesThatAreWanted) {
  EXPECT_EQ(branches_of(kTree, {.oasst_max_rank = 1}), (Texts{"u:Q a:A u:s a:C", "u:Q a:A u:s a:D", "u:Q a:B u:t a:E"}));
  InstructCounts counts;
  EXPECT_EQ(branches_of(kTree, {.oasst_max_rank = 1, .oasst_languages = {"en", "fr"}}, &counts),
            (Texts{"u:Q a:A u:s a:C", "u:Q a:A u:s a:D", "u:Q a:B"}));
  EXPECT_EQ(counts.filtered, 2);
  EXPECT_TRUE(branches_of(kTree, {.oasst_languages = {"de"}}).empty());
}

TEST(Conversations, OfOasstMessagesInAListAreThoseOfTheTree) {
  for (const std::int64_t rank : {0, 1}) {
    Texts tree = branches_of(kTree, {.oasst_max_rank = rank}), flat = branches_of(kFlat, {.oasst_max_rank = rank});
    std::sort(tree.begin(), tree.end());
    std::sort(flat.begin(), flat.end());
    EXPECT_EQ(tree, flat);
  }
}

TEST(Conversations, OfOasstLeaveOutWhatWasDeletedAndUnrankedAnswersBehindRankedOnes) {
  const std::string tree =
      R"({"message_id": "Q", "text": "Q", "role": "prompter", "parent_id": null, "replies": [{"text": "A", "role": "assistant", "rank": 0, "deleted": true},)"
      R"({"text": "B", "role": "assistant", "rank": 1}, {"text": "C", "role": "assistant", "rank": null}]})";
  EXPECT_TRUE(branches_of(tree).empty());
  EXPECT_EQ(branches_of(tree, {.oasst_max_rank = 1}), (Texts{"u:Q a:B"}));
  EXPECT_EQ(branches_of(tree, {.oasst_max_rank = 2}), (Texts{"u:Q a:B", "u:Q a:C"}));
}

TEST(Conversations, OfALongListOfMessagesAreReadWithoutRecursion) {
  std::string lines;
  constexpr int kMessages = 40000;
  for (int i = kMessages; i-- > 0;)
    lines += "{\"message_id\":\"" + std::to_string(i) + "\",\"parent_id\":" + (i ? "\"" + std::to_string(i - 1) + "\"" : "null") +
             ",\"text\":\"x\",\"role\":\"" + (i % 2 ? "assistant" : "prompter") + "\"}\n";
  const auto messages = messages_of(lines, Format::kOasst);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(Json::parse(messages[0]).size(), static_cast<std::size_t>(kMessages));
}

DataConfig custom(const ColumnsConfig& columns) {
  DataConfig config = config_of(Format::kCustom);
  config.instruct.columns = columns;
  return config;
}

TEST(Conversations, OfColumnsThatTheRecipeNames) {
  EXPECT_EQ(
      messages_of(R"({"rules": "s", "q": "a", "about": "x", "a": "b", "why": "hm", "share": 2}
{"q": "a", "a": "b"}
)",
                  custom({.system = "rules", .prompt = "q", .input = "about", .response = "a", .reasoning = "why", .weight = "share"})),
      (Texts{R"([{"role":"system","content":"s"},{"role":"user","content":"a\nx","instruction":"a","input":"x"},)"
             R"({"role":"assistant","content":"b","reasoning_content":"hm"}])",
             R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])"}));
  EXPECT_EQ(messages_of(R"({"dialog": [{"who": "Q", "says": "a"}, {"who": "A", "says": "b"}]})",
                        custom({.messages = "dialog", .role = "who", .content = "says", .user = "Q", .assistant = "A"})),
            (Texts{R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])"}));
  EXPECT_EQ(messages_of(R"({"response": "text"})", custom({.response = "response"})),
            (Texts{R"([{"role":"assistant","content":"text"}])"}));
}

TEST(Conversations, OfTheChosenAnswersOfPreferenceSetsAreReadByCustomAlone) {
  const std::string pair =
      R"({"conversations": [{"from": "human", "value": "a"}], "chosen": {"from": "gpt", "value": "b"}, "rejected": {"from": "gpt", "value": "c"}})";
  const std::string refused = complaint_of(pair, config_of(Format::kSharegpt));
  EXPECT_NE(refused.find("preference set (DPO)"), std::string::npos) << refused;
  EXPECT_NE(refused.find("data.format=custom data.columns.messages=conversations data.columns.response=chosen data.columns.role=from "
                         "data.columns.content=value data.columns.user=human data.columns.assistant=gpt"),
            std::string::npos)
      << refused;
  EXPECT_EQ(messages_of(pair, custom({.messages = "conversations",
                                      .response = "chosen",
                                      .role = "from",
                                      .content = "value",
                                      .user = "human",
                                      .assistant = "gpt"})),
            (Texts{R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])"}));
  const std::string marked = R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "label": true}
{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "c"}], "label": false}
)";
  const std::string also = complaint_of(marked, config_of(Format::kMessages));
  EXPECT_NE(also.find("preference set (KTO)"), std::string::npos) << also;
  EXPECT_NE(also.find("data.columns.messages=messages data.columns.weight=label"), std::string::npos) << also;
  EXPECT_EQ(messages_of(marked, custom({.messages = "messages", .weight = "label"})),
            (Texts{R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])"}));
}

struct Mistake {
  Format format;
  std::string row, complaint;
};

TEST(Conversations, NameTheRowAndTheMistake) {
  const auto message = [](const std::string& members) {
    return "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {" + members + "}]}";
  };
  const auto roles = [](std::initializer_list<const char*> names) {
    OrderedJson messages = OrderedJson::array();
    for (const char* name : names) messages.push_back({{"role", name}, {"content", "x"}});
    return OrderedJson{{"messages", messages}}.dump();
  };
  const auto turns = [](const std::string& list) { return "{\"conversations\": [" + list + "]}"; };
  const Mistake mistakes[] = {
      {Format::kPromptResponse, R"({"prompt": "a"})", "the row has no \"response\" or \"completion\"; it has prompt"},
      {Format::kPromptResponse, R"({"prompt": "a", "response": null})", "the row has no \"response\""},
      {Format::kPromptResponse, R"({"prompt": "a", "response": " \n"})", "message 2 (assistant) has an empty answer"},
      {Format::kPromptResponse, R"({"prompt": "", "response": "b"})", "message 1 (user) is empty"},
      {Format::kPromptResponse, R"({"prompt": 3, "response": "b"})", "\"prompt\" is a number, not a text"},
      {Format::kPromptResponse, R"({"prompt": "a", "response": "b", "system": ["s"]})", "\"system\" is a list, not a text"},
      {Format::kPromptResponse, R"({"prompt": "a", "response": "b", "weight": -1})", "\"weight\" = -1 is no weight"},
      {Format::kPromptResponse, R"({"prompt": "a", "response": "b", "weight": "x"})", "\"weight\" is a text, not a number"},
      {Format::kPromptResponse, R"({"prompt": "a", "response": "b", "tools": "f"})", "\"tools\" is a text that is not JSON"},
      {Format::kPromptResponse, R"({"prompt": "a", "response": "b", "history": [["x"]]})", "turn 1 of \"history\" is not a pair"},
      {Format::kMessages, R"({"messages": []})", "\"messages\" has no messages"},
      {Format::kMessages, R"({"messages": {"role": "user"}})", "\"messages\" is an object, not a list"},
      {Format::kMessages, R"({"messages": ["a"]})", "message 1 of \"messages\" is a text, not an object"},
      {Format::kMessages, message("\"content\": \"b\""), "message 2 of \"messages\" has no \"role\""},
      {Format::kMessages, message("\"role\": \"bot\", \"content\": \"b\""), "is of the role \"bot\""},
      {Format::kMessages, message("\"role\": \"assistant\""), "has no \"content\""},
      {Format::kMessages, message("\"role\": \"assistant\", \"content\": 4"), "has \"content\" that is a number"},
      {Format::kMessages, message("\"role\": \"assistant\", \"content\": \"\""), "message 2 (assistant) has an empty answer"},
      {Format::kMessages, message(R"("role": "assistant", "content": [{"type": "image", "url": "x"}])"), "part 1 is of the type \"image\""},
      {Format::kMessages, message(R"("role": "assistant", "content": [{"type": "text"}])"), "part 1 has no text"},
      {Format::kMessages, message(R"("role": "assistant", "content": "b", "loss_weight": -2)"), "\"loss_weight\" = -2 is no weight"},
      {Format::kMessages, R"({"messages": [{"role": "user", "content": "a", "loss_weight": 1}]})",
       "but only the assistant's messages are trained on"},
      {Format::kMessages, message(R"("role": "assistant", "tool_calls": [{"arguments": {}}])"), "without a \"name\""},
      {Format::kMessages, roles({"assistant"}), "message 1 (assistant) stands before the user says anything"},
      {Format::kMessages, roles({"user"}), "the last message is the user's, so no answer follows it"},
      {Format::kMessages, roles({"user", "system", "assistant"}), "message 2 (system) stands inside the conversation"},
      {Format::kMessages, roles({"system", "system", "user", "assistant"}), "message 2 (system) follows another one"},
      {Format::kMessages, roles({"user", "user", "assistant"}), "message 2 (user) follows another message of the user"},
      {Format::kMessages, roles({"user", "assistant", "assistant"}), "message 3 (assistant) follows another message of the assistant"},
      {Format::kMessages, roles({"user", "tool", "assistant"}), "message 2 (tool) does not follow the assistant's call"},
      {Format::kMessages, roles({"user", "assistant", "tool", "user", "assistant"}), "message 4 (user) follows a tool's result"},
      {Format::kAlpaca, R"({"instruction": "a", "input": ""})", "the row has no \"output\" or \"response\""},
      {Format::kAlpaca, R"({"instruction": "", "output": "b"})", "\"instruction\" is empty"},
      {Format::kAlpaca, R"({"instruction": "a", "output": ""})", "\"output\" or \"response\" is empty"},
      {Format::kAlpaca, R"({"instruction": "a", "output": ["b"]})", "is a list, not a text"},
      {Format::kDolly, R"({"instruction": "a", "context": 1, "response": "b"})", "\"context\" is a number, not a text"},
      {Format::kSelfInstruct, R"({"instruction": "a", "instances": []})", "\"instances\" is empty"},
      {Format::kSelfInstruct, R"({"instruction": "a", "instances": [{"input": "x", "output": ""}]})", "instance 1: \"output\" is empty"},
      {Format::kSharegpt, turns(R"({"from": "human", "value": "a"})"), "the last message is the user's"},
      {Format::kSharegpt, turns(R"({"from": "gpt", "value": "a"})"), "message 1 (assistant) stands before the user"},
      {Format::kSharegpt, turns(R"({"from": "alien", "value": "a"})"), "turn 1 is from \"alien\""},
      {Format::kSharegpt, turns(R"({"from": "human"})"), "turn 1 has no \"value\""},
      {Format::kSharegpt, turns(R"json({"from": "human", "value": "a"}, {"from": "function_call", "value": "f(1)"})json"),
       "the call of a tool is a text that is not JSON"},
      {Format::kSharegpt, turns(""), "the conversation has no messages"},
      {Format::kOasst, R"({"message_id": "1", "parent_id": "0", "text": "x", "role": "assistant"})",
       "answers \"0\", which is not in the file"},
      {Format::kOasst, R"({"message_id": "1", "parent_id": "1", "text": "x", "role": "assistant"})", "is among the answers to itself"},
      {Format::kOasst, R"({"message_id": "q", "text": "x", "role": "prompter"})", "\"q\" was there before"},
      {Format::kOasst, R"({"message_id": "1", "text": "x", "role": "bot"})", "\"role\" is \"bot\""},
      {Format::kOasst, R"({"message_id": "1", "text": "x", "role": "assistant", "rank": "best"})", "\"rank\" is \"best\""},
      {Format::kOasst, R"({"message_id": "1", "text": "x", "role": "assistant"})", "message 1 (assistant) stands before the user"},
      {Format::kOasst, R"({"message_id": "1", "parent_id": "q", "text": "", "role": "assistant"})", "has an empty answer"},
  };
  const std::string good[] = {R"({"prompt": "a", "response": "b"})",
                              roles({"user", "assistant"}),
                              R"({"instruction": "a", "output": "b"})",
                              R"({"instruction": "a", "context": "", "response": "b"})",
                              R"({"message_id": "q", "text": "a", "role": "prompter"})",
                              turns(R"({"human": "a", "assistant": "b"})"),
                              R"({"instruction": "a", "instances": [{"output": "b"}]})"};
  for (const Mistake& mistake : mistakes) {
    const std::string& first = good[static_cast<std::size_t>(mistake.format) - static_cast<std::size_t>(Format::kPromptResponse)];
    const std::string said =
        complaint_of(first + "\n\n" + mistake.row + "\n" + (mistake.format == Format::kOasst ? "" : "{}\n"), config_of(mistake.format));
    EXPECT_TRUE(said.starts_with(":3: ")) << mistake.row << "\n" << said;
    EXPECT_NE(said.find(mistake.complaint), std::string::npos) << mistake.row << "\n" << said;
  }
}

TEST(Conversations, OfAnotherFormatSayWhichTheFileLooksLike) {
  const std::string said = complaint_of(R"({"instruction": "a", "input": "", "output": "b"})", config_of(Format::kMessages));
  EXPECT_NE(said.find(":1: the row has no \"messages\"; it has instruction, input or output (the columns instruction, input and output "
                      "look like alpaca)"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("fix: set data.format=alpaca; or"), std::string::npos) << said;
  const std::string alone = complaint_of(R"({"response": "a"})", config_of(Format::kPromptResponse));
  EXPECT_NE(alone.find("data.format=custom"), std::string::npos) << alone;
}

TEST(Conversations, OfAFileWithoutRowsAreAnError) {
  EXPECT_NE(complaint_of("\n\n", config_of(Format::kMessages)).find("has no rows"), std::string::npos);
}

TEST(Conversations, OfCustomColumnsThatNoRowHasAreASlipOfThePen) {
  std::string said;
  try {
    messages_of("{\"q\": \"a\", \"a\": \"b\", \"system\": \"s\"}\n", custom({.system = "sytem", .prompt = "q", .response = "a"}));
  } catch (const Error& error) {
    said = error.what();
  }
  EXPECT_NE(said.find("data.columns.system = sytem"), std::string::npos) << said;
  EXPECT_NE(said.find("did you mean \"system\""), std::string::npos) << said;
  EXPECT_THROW(messages_of("{}", custom({.prompt = "q"})), Error);
}

TEST(Conversations, AreHandedOnBeforeALaterRowIsFoundWrong) {
  const ScratchRows file("{\"prompt\": \"a\", \"response\": \"b\"}\n{\"prompt\": \"a\"}\n");
  int seen = 0;
  EXPECT_THROW(read_conversations(file.path(), config_of(Format::kPromptResponse), [&](InstructRow&&) { ++seen; }), Error);
  EXPECT_EQ(seen, 1);
}

TEST(DetectFormat, KnowsEachFormatByItsColumns) {
  const auto detect = [](const std::string& row) { return detect_format(std::vector<OrderedJson>{OrderedJson::parse(row)}).format; };
  EXPECT_EQ(detect(R"({"prompt": "a", "response": "b"})"), Format::kPromptResponse);
  EXPECT_EQ(detect(R"({"query": "a", "completion": "b"})"), Format::kPromptResponse);
  EXPECT_EQ(detect(R"({"messages": []})"), Format::kMessages);
  EXPECT_EQ(detect(R"({"instruction": "a", "input": "", "response": "b"})"), Format::kAlpaca);
  EXPECT_EQ(detect(R"({"instruction": "a", "context": "", "response": "b"})"), Format::kDolly);
  EXPECT_EQ(detect(R"({"conversation": []})"), Format::kSharegpt);
  EXPECT_EQ(detect(R"({"prompt": {"text": "a"}, "message_tree_id": "1"})"), Format::kOasst);
  EXPECT_EQ(detect(R"({"message_id": "1", "parent_id": null, "text": "a", "role": "prompter"})"), Format::kOasst);
  EXPECT_EQ(detect(R"({"instruction": "a", "instances": []})"), Format::kSelfInstruct);
  EXPECT_EQ(detect(R"({"question": "a", "answer": "b"})"), Format::kQa);
  EXPECT_EQ(detect(R"({"input_ids": [1]})"), Format::kTokenIds);
  EXPECT_EQ(detect(R"({"text": "a"})"), Format::kText);
  EXPECT_EQ(detect(R"({"a": 1, "b": 2})"), std::nullopt);
  EXPECT_EQ(detect(R"({"prompt": "a", "chosen": "b", "rejected": "c"})"), std::nullopt);
}

}  // namespace
}  // namespace sluice::data
