// What becomes of a conversation: the text of each template, and which of its tokens are trained on. Expected texts are the formats as
// published; expected masks are read off them by hand.
#include "sluice/data/instruct/samples.h"

#include <gtest/gtest.h>

#include <functional>

#include "character_tokenizer.h"
#include "sluice/base/error.h"

namespace sluice::data {
namespace {

InstructRow row_of(const OrderedJson& messages) {
  InstructRow row;
  row.conversation.messages = messages;
  row.where = "rows.jsonl:7";
  return row;
}

OrderedJson message(const std::string& role, const std::string& content) { return {{"role", role}, {"content", content}}; }

const OrderedJson kTurns = {message("user", "Hi"), message("assistant", "Yo"), message("user", "1+1?"), message("assistant", "2")};

DataConfig config_of(Template chat_template) {
  DataConfig config;
  config.format = Format::kMessages;
  config.seq_length = 4096;
  config.instruct.chat_template = chat_template;
  return config;
}

std::string text_of(const CharacterTokenizer& tokenizer, const Sample& sample) { return (*tokenizer).decode(sample.ids); }

// What is trained on; a bar between stretches.
std::string trained(const CharacterTokenizer& tokenizer, const Sample& sample) {
  std::string out;
  for (std::size_t i = 0; i < sample.ids.size(); ++i) {
    if (sample.labels[i] == kNotTrained) continue;
    if (!out.empty() && sample.labels[i - 1] == kNotTrained) out += "|";
    out += (*tokenizer).decode(std::span(sample.ids).subspan(i, 1));
  }
  return out;
}

Sample sample_of(const CharacterTokenizer& tokenizer, const DataConfig& config, const InstructRow& row) {
  MadeSample made = SampleMaker(config, tokenizer.source()).make(row);
  EXPECT_EQ(made.fate, Fate::kKept);
  EXPECT_FALSE(made.fault) << made.fault->what();
  return made.sample;
}

std::string fault_of(const CharacterTokenizer& tokenizer, const DataConfig& config, const InstructRow& row) {
  const auto made = SampleMaker(config, tokenizer.source()).make(row);
  return made.fault ? made.fault->what() : "no fault";
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

const std::vector<std::string> kLlama3Specials{"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
                                               "<|eot_id|>"};

TEST(Templates, ChatmlWritesEachRoleBetweenItsMarks) {
  const CharacterTokenizer tokenizer;
  const Sample sample = sample_of(tokenizer, config_of(Template::kChatml), row_of(kTurns));
  EXPECT_EQ(text_of(tokenizer, sample),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>"
            "assistant\n2<|im_end|>\n");
  EXPECT_EQ(trained(tokenizer, sample), "Yo<|im_end|>|2<|im_end|>");
}

TEST(Templates, ChatmlsMarksArePlainTextToATokenizerWithoutThem) {
  const CharacterTokenizer tokenizer({"<s>", "</s>"}, CharacterTokenizer::Bos::kAdds);
  DataConfig config = config_of(Template::kChatml);
  EXPECT_EQ(trained(tokenizer, sample_of(tokenizer, config, row_of(kTurns))), "Yo<|im_end|>|2<|im_end|>");
  EXPECT_EQ(sample_of(tokenizer, config, row_of(kTurns)).ids[0], 0);  // BOS, which this tokenizer puts before a text
  config.instruct.train_on_end = false;
  EXPECT_EQ(trained(tokenizer, sample_of(tokenizer, config, row_of(kTurns))), "Yo|2");
}

TEST(Templates, AlpacaIsWordedByWhetherThereIsAnInput) {
  const CharacterTokenizer tokenizer({"<s>", "</s>"}, CharacterTokenizer::Bos::kAdds);
  const DataConfig config = config_of(Template::kAlpaca);
  OrderedJson with_input = message("user", "Add.\n1, 2");
  with_input["instruction"] = "Add.";
  with_input["input"] = "1, 2";
  EXPECT_EQ(text_of(tokenizer, sample_of(tokenizer, config, row_of({with_input, message("assistant", "3")}))),
            "<s>Below is an instruction that describes a task, paired with an input that provides further context. Write a response that "
            "appropriately "
            "completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1, 2\n\n### Response:\n3</s>");
  const Sample plain = sample_of(tokenizer, config, row_of({message("user", "Hi"), message("assistant", "Yo")}));
  EXPECT_EQ(text_of(tokenizer, plain),
            "<s>Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### "
            "Instruction:\nHi\n\n### "
            "Response:\nYo</s>");
  EXPECT_EQ(trained(tokenizer, plain), "Yo</s>");
}

TEST(Templates, AlpacaTakesASystemPromptInPlaceOfItsFirstSentencesAndSeveralTurns) {
  const CharacterTokenizer tokenizer;
  DataConfig config = config_of(Template::kAlpaca);
  config.instruct.system_prompt = "Be brief.";
  const Sample sample = sample_of(tokenizer, config, row_of(kTurns));
  EXPECT_EQ(text_of(tokenizer, sample),
            "Be brief.\n\n### Instruction:\nHi\n\n### Response:\nYo</s>\n\n### Instruction:\n1+1?\n\n### Response:\n2</s>");
  EXPECT_EQ(trained(tokenizer, sample), "Yo</s>|2</s>");
}

TEST(Templates, Llama2PutsTheSystemPromptIntoTheFirstTurnAndBosBeforeEach) {
  const CharacterTokenizer tokenizer({"<s>", "</s>"}, CharacterTokenizer::Bos::kAdds);
  OrderedJson messages = kTurns;
  messages.insert(messages.begin(), message("system", "Be brief."));
  const Sample sample = sample_of(tokenizer, config_of(Template::kLlama2), row_of(messages));
  EXPECT_EQ(text_of(tokenizer, sample), "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Yo </s><s>[INST] 1+1? [/INST] 2 </s>");
  EXPECT_EQ(trained(tokenizer, sample), " Yo </s>| 2 </s>");
}

TEST(Templates, Llama3WritesHeadersAndNeedsItsTokens) {
  const CharacterTokenizer tokenizer(kLlama3Specials, CharacterTokenizer::Bos::kAdds);
  const Sample sample = sample_of(tokenizer, config_of(Template::kLlama3), row_of({message("user", "Hi"), message("assistant", " Yo ")}));
  EXPECT_EQ(text_of(tokenizer, sample),
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nYo<|"
            "eot_id|>");
  EXPECT_EQ(trained(tokenizer, sample), "Yo<|eot_id|>");
  const CharacterTokenizer other;
  EXPECT_NE(error_of([&] { SampleMaker(config_of(Template::kLlama3), other.source()); }).find("needs the token <|start_header_id|>"),
            std::string::npos);
}

TEST(Templates, OursRefuseWhatTheyHaveNoPlaceFor) {
  const CharacterTokenizer tokenizer(kLlama3Specials, CharacterTokenizer::Bos::kAdds);
  OrderedJson calls = kTurns, reasons = kTurns, tool = kTurns;
  calls[1]["tool_calls"] = OrderedJson::array({{{"type", "function"}}});
  reasons[3]["reasoning_content"] = "one and one";
  tool.insert(tool.begin() + 2, message("tool", "sunny"));
  for (const Template name : {Template::kAlpaca, Template::kChatml, Template::kLlama2, Template::kLlama3}) {
    const SampleMaker maker(config_of(name), tokenizer.source());
    EXPECT_NE(error_of([&] {
                maker.make(row_of(calls));
              }).find("rows.jsonl:7: the template refuses the conversation: this template has no place for tool calls"),
              std::string::npos);
    EXPECT_NE(error_of([&] { maker.make(row_of(reasons)); }).find("no place for reasoning"), std::string::npos);
    InstructRow with_tools = row_of(kTurns);
    with_tools.conversation.tools = OrderedJson::array({{{"type", "function"}}});
    EXPECT_NE(error_of([&] { maker.make(with_tools); }).find("no place for tools"), std::string::npos);
  }
  EXPECT_NE(error_of([&] {
              SampleMaker(config_of(Template::kLlama2), tokenizer.source()).make(row_of(tool));
            }).find("no place for the role tool"),
            std::string::npos);
}

TEST(Templates, CustomComesFromTheRecipeOrAFile) {
  const CharacterTokenizer tokenizer;
  DataConfig config = config_of(Template::kCustom);
  const std::string source =
      "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else "
      "%}Q:{{ m.content }} {% endif %}{% endfor %}";
  config.instruct.custom_template = source;
  const Sample inline_sample = sample_of(tokenizer, config, row_of(kTurns));
  EXPECT_EQ(text_of(tokenizer, inline_sample), "Q:Hi A:Yo</s>Q:1+1? A:2</s>");
  EXPECT_EQ(trained(tokenizer, inline_sample), "Yo</s>|2</s>");
  tokenizer.write("mine.jinja", source);
  config.instruct.custom_template = (tokenizer.folder() / "mine.jinja").string();
  EXPECT_EQ(sample_of(tokenizer, config, row_of(kTurns)).ids, inline_sample.ids);
  config.instruct.custom_template = "mine.jinga";
  EXPECT_NE(error_of([&] { SampleMaker(config, tokenizer.source()); }).find("neither a Jinja template nor a file"), std::string::npos);
  config.instruct.custom_template = "";
  EXPECT_NE(error_of([&] { SampleMaker(config, tokenizer.source()); }).find("data.custom_template is empty"), std::string::npos);
}

TEST(Templates, ChatNeedsOneOfTheTokenizersOwn) {
  const CharacterTokenizer without;
  EXPECT_NE(error_of([&] { SampleMaker(config_of(Template::kChat), without.source()); }).find("has no chat template"), std::string::npos);
  // Unmarked: what the assistant wrote is found by rendering each prefix.
  const CharacterTokenizer with({"<s>", "</s>"}, CharacterTokenizer::Bos::kNone,
                                "{% for m in messages %}{{ m.role + ':' + m.content + eos_token + '\n' }}{% endfor %}{% if "
                                "add_generation_prompt %}{{ 'assistant:' }}{% endif %}");
  EXPECT_EQ(trained(with, sample_of(with, config_of(Template::kChat), row_of(kTurns))), "Yo</s>\n|2</s>\n");
}

TEST(Mask, TrainsOnTheLastTurnAloneWhereAsked) {
  const CharacterTokenizer tokenizer;
  DataConfig config = config_of(Template::kChatml);
  config.instruct.train_on = TrainOn::kLast;
  EXPECT_EQ(trained(tokenizer, sample_of(tokenizer, config, row_of(kTurns))), "2<|im_end|>");
}

TEST(Mask, LeavesTheEndTokenOutWhereAsked) {
  const CharacterTokenizer tokenizer;
  DataConfig config = config_of(Template::kChatml);
  config.instruct.train_on_end = false;
  EXPECT_EQ(trained(tokenizer, sample_of(tokenizer, config, row_of(kTurns))), "Yo|2");
}

TEST(Mask, LeavesOutTheEndWithTheWhiteSpaceThatAnUnmarkedTemplatePutsBehindIt) {
  const CharacterTokenizer tokenizer({"<s>", "</s>"}, CharacterTokenizer::Bos::kNone,
                                     "{% for m in messages %}{{ m.role + ':' + m.content + eos_token + '\n' }}{% endfor %}{% if "
                                     "add_generation_prompt %}{{ 'assistant:' }}{% endif %}");
  DataConfig config = config_of(Template::kChat);
  config.instruct.train_on_end = false;
  OrderedJson messages = kTurns;
  messages[1]["content"] = "Yo\n";  // its own white space stays
  EXPECT_EQ(trained(tokenizer, sample_of(tokenizer, config, row_of(messages))), "Yo\n|2");
}

TEST(Mask, AMessagesWeightIsThatOfItsTokensAndARowsWeightMultipliesIt) {
  const CharacterTokenizer tokenizer;
  OrderedJson messages = kTurns;
  messages[1]["weight"] = 0.5;
  InstructRow row = row_of(messages);
  row.weight = 4;
  const Sample sample = sample_of(tokenizer, config_of(Template::kChatml), row);
  EXPECT_EQ(trained(tokenizer, sample), "Yo<|im_end|>|2<|im_end|>");
  std::vector<float> weights;
  for (std::size_t i = 0; i < sample.ids.size(); ++i) {
    if (sample.labels[i] != kNotTrained) weights.push_back(sample.weights[i]);
  }
  EXPECT_EQ(weights, (std::vector<float>{2, 2, 2, 4, 4}));
  EXPECT_TRUE(sample_of(tokenizer, config_of(Template::kChatml), row_of(kTurns)).weights.empty());
}

TEST(Mask, AMessageOfWeight0IsNotTrainedOn) {
  const CharacterTokenizer tokenizer;
  OrderedJson messages = kTurns;
  messages[1]["weight"] = 0;
  const Sample sample = sample_of(tokenizer, config_of(Template::kChatml), row_of(messages));
  EXPECT_EQ(trained(tokenizer, sample), "2<|im_end|>");
  EXPECT_TRUE(sample.weights.empty());
  messages[3]["weight"] = 0;
  EXPECT_EQ(SampleMaker(config_of(Template::kChatml), tokenizer.source()).make(row_of(messages)).fate, Fate::kWeightless);
}

TEST(Mask, KnowsWhichMessageASpanBelongsToWhereATemplateMarksOneInPieces) {
  const CharacterTokenizer tokenizer;
  DataConfig config = config_of(Template::kCustom);
  config.instruct.custom_template =
      "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}-{% generation %}{{ "
      "eos_token }}{% endgeneration %}{% else %}Q{{ m.content }} {% endif %}{% endfor %}";
  config.instruct.train_on = TrainOn::kLast;
  EXPECT_EQ(trained(tokenizer, sample_of(tokenizer, config, row_of(kTurns))), "2|</s>");
}

TEST(Mask, TheFirstTokenIsNeverTrainedOn) {
  const CharacterTokenizer tokenizer;
  DataConfig config = config_of(Template::kCustom);
  config.instruct.custom_template = "{% for m in messages %}{% generation %}{{ m.content + eos_token }}{% endgeneration %}{% endfor %}";
  const auto made = SampleMaker(config, tokenizer.source()).make(row_of(kTurns));
  EXPECT_EQ(made.sample.labels[0], kNotTrained);
}

TEST(Check, NothingEverythingAndNoEndAreFaultsThatNameTheRow) {
  const CharacterTokenizer tokenizer;
  DataConfig config = config_of(Template::kCustom);
  const auto fault = [&](const std::string& source) {
    config.instruct.custom_template = source;
    return fault_of(tokenizer, config, row_of(kTurns));
  };
  EXPECT_NE(fault("{% for m in messages %}{{ m.content }}{% if false %}{% generation %}{% endgeneration %}{% endif %}{% endfor %}")
                .find("rows.jsonl:7: none of the conversation's 9 tokens"),
            std::string::npos);
  EXPECT_NE(fault("{% for m in messages %}{% generation %}{{ m.content + eos_token }}{% endgeneration %}{% endfor %}")
                .find("rows.jsonl:7: all of the conversation's 13 tokens"),
            std::string::npos);
  const std::string no_end =
      "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}Q{{ m.content "
      "}}A{% endif %}{% endfor %}";
  EXPECT_NE(fault(no_end).find("rows.jsonl:7: no end token would be trained on"), std::string::npos);
  config.instruct.train_on_end = false;
  EXPECT_EQ(fault(no_end), "no fault");
}

TEST(Truncation, DropsOrCutsAndSaysSo) {
  const CharacterTokenizer tokenizer;
  DataConfig config = config_of(Template::kChatml);
  const std::vector<std::int32_t> whole = sample_of(tokenizer, config, row_of(kTurns)).ids;
  config.seq_length = static_cast<std::int64_t>(whole.size());
  EXPECT_EQ(sample_of(tokenizer, config, row_of(kTurns)).ids, whole);
  config.seq_length -= 2;
  const auto make = [&](Truncation truncation) {
    config.instruct.truncation = truncation;
    return SampleMaker(config, tokenizer.source()).make(row_of(kTurns));
  };
  EXPECT_EQ(make(Truncation::kDrop).fate, Fate::kTooLong);
  const MadeSample right = make(Truncation::kRight), left = make(Truncation::kLeft);
  EXPECT_EQ(right.sample.ids, std::vector(whole.begin(), whole.end() - 2));
  EXPECT_EQ(trained(tokenizer, right.sample), "Yo<|im_end|>|2");
  EXPECT_FALSE(right.fault);  // the end went with the cut
  EXPECT_EQ(left.sample.ids, std::vector(whole.begin() + 2, whole.end()));
  EXPECT_EQ(trained(tokenizer, left.sample), "Yo<|im_end|>|2<|im_end|>");
  EXPECT_EQ(left.cut, MadeSample::Cut::kYes);
}

TEST(Truncation, LeavesOutWhatHasNothingLeftToTrainOn) {
  const CharacterTokenizer tokenizer;
  DataConfig config = config_of(Template::kChatml);
  config.instruct.truncation = Truncation::kRight;
  config.seq_length = 5;
  EXPECT_EQ(SampleMaker(config, tokenizer.source()).make(row_of(kTurns)).fate, Fate::kNothingLeft);
}

TEST(Samples, KeepTheRoutingLabelAndThePromptsLength) {
  const CharacterTokenizer tokenizer;
  InstructRow row = row_of({message("user", "Hi"), message("assistant", "Yo")});
  row.expert_label = "numerical_reasoning";
  const Sample sample = sample_of(tokenizer, config_of(Template::kChatml), row);
  EXPECT_EQ(sample.expert_label, 1);
  EXPECT_EQ(sample.prompt_length, static_cast<std::int32_t>(std::string("_user\nHi_\n_assistant\n").size()));  // a mark is one token
  row.expert_label = "numerical";
  EXPECT_NE(
      error_of([&] { SampleMaker(config_of(Template::kChatml), tokenizer.source()).make(row); }).find("rows.jsonl:7: unknown category"),
      std::string::npos);
}

}  // namespace
}  // namespace sluice::data
