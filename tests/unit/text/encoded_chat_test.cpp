// Which tokens of a conversation are trained on.
#include "sluice/text/encoded_chat.h"

#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/text/hf_tokenizer.h"
#include "tests/unit/text/oracle.h"

namespace sluice::text {
namespace {

const fs::path kShared = SLUICE_SHARED_DIR;

std::unique_ptr<ChatTemplate> chat_of(const std::string& source, const std::string& config = "{}") {
  const ScratchFolder folder;
  write_file_atomic(folder.path() / "chat_template.jinja", source);
  write_file_atomic(folder.path() / "tokenizer_config.json", config);
  return ChatTemplate::open(folder.path());
}

// Each ASCII character and the bytes of others are tokens; "<e>" is one too.
std::unique_ptr<Tokenizer> characters() {
  Json vocab = {{"<unk>", 0}, {"<e>", 1}};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    vocab[name] = 2 + byte;
  }
  const Json added = {{{"id", 1}, {"content", "<e>"}, {"special", true}, {"normalized", false}}};
  return std::make_unique<HfTokenizer>(
      Json{{"added_tokens", added},
           {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}, {"byte_fallback", true}, {"unk_token", "<unk>"}}},
           {"decoder", {{"type", "Sequence"}, {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}}}},
      "test");
}

Conversation conversation(std::initializer_list<std::pair<const char*, const char*>> turns) {
  Conversation out;
  for (const auto& [role, content] : turns) out.messages.push_back({{"role", role}, {"content", content}});
  return out;
}

// The text of the counted tokens, with | between runs.
std::string counted(const Tokenizer& tokenizer, const EncodedChat& chat) {
  std::string out;
  for (std::size_t i = 0; i < chat.ids.size();) {
    std::size_t end = i;
    while (end < chat.ids.size() && chat.loss_mask[end] == chat.loss_mask[i]) ++end;
    if (chat.loss_mask[i] != 0) out += (out.empty() ? "" : "|") + tokenizer.decode(std::span(chat.ids).subspan(i, end - i));
    i = end;
  }
  return out;
}

std::string counted(const std::string& source, const Conversation& turns) {
  const auto tokenizer = characters();
  return counted(*tokenizer, encode_chat(*tokenizer, *chat_of(source), turns));
}

std::string error_of(const std::string& source, const Conversation& turns) {
  try {
    return "no error but: " + counted(source, turns);
  } catch (const Error& error) {
    return error.problem();
  }
}

constexpr char kPlain[] =
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}<e>\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

TEST(EncodedChat, CountsWhatFollowsTheGenerationPromptUpToTheEndToken) {
  EXPECT_EQ(counted(kPlain, conversation({{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d \u00e9"}})),
            "b<e>\n|d \u00e9<e>\n");
  EXPECT_EQ(counted(kPlain, conversation({{"user", "a"}})), "");
}

TEST(EncodedChat, ACharacterOfSeveralTokensIsCountedWhole) {
  const auto tokenizer = characters();
  const EncodedChat chat = encode_chat(
      *tokenizer, *chat_of("{% for m in messages %}\u00e9{{ m.content }}{% endfor %}{% if add_generation_prompt %}\u00e9{% endif %}"),
      conversation({{"user", ""}, {"assistant", "\u00fc"}}));
  EXPECT_EQ(chat.loss_mask, (std::vector<std::uint8_t>{0, 0, 0, 0, 1, 1}));
}

TEST(EncodedChat, TheMarksOfTheTemplateComeBeforeComparing) {
  const std::string source =
      "{% for m in messages %}{% if m.role == 'assistant' %}A{% generation %}{{ m.content }}{% endgeneration %}<e>{% else %}U{{ m.content "
      "}}{% endif %}{% endfor %}";
  EXPECT_EQ(counted(source, conversation({{"user", "a"}, {"assistant", "b"}, {"assistant", ""}})), "b");
}

TEST(EncodedChat, ATurnThatIsShorterOnceMessagesFollowIsWhatBothHave) {
  const std::string source =
      "{% for m in messages %}[{{ m.role }}]{% if loop.last and m.role == 'assistant' %}<think></think>{% endif %}{{ m.content }}<e>{% "
      "endfor %}"
      "{% if add_generation_prompt %}[assistant]{% endif %}";
  EXPECT_EQ(counted(source, conversation({{"user", "a"}, {"assistant", "b b"}, {"user", "c"}, {"assistant", "d"}})),
            "b b<e>|<think></think>d<e>");
}

TEST(EncodedChat, WhereTheTemplateDoesNotSayIsAnErrorThatNamesTheMessage) {
  // Without a generation prompt, and all turns end alike: the head "[assistant]" is the model's or not.
  EXPECT_NE(
      error_of("{% for m in messages %}[{{ m.role }}]{{ m.content }}<e>{% endfor %}", conversation({{"user", "a"}, {"assistant", "b"}}))
          .find("of message 2, "),
      std::string::npos);
  // What stands before a turn changes when more follows.
  EXPECT_NE(error_of(std::string("{{ messages | length }}") + kPlain, conversation({{"user", "a"}, {"assistant", "b"}}))
                .find("rendered otherwise when it follows"),
            std::string::npos);
  // The end of what stands before the last turn changes when it follows.
  EXPECT_NE(error_of("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% if loop.last %}.{% endif %}{% endfor %}{% if "
                     "add_generation_prompt %}[assistant]{% endif %}",
                     conversation({{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}}))
                .find("of message 4, "),
            std::string::npos);
  // Nothing can be rendered before the first turn.
  EXPECT_NE(error_of(std::string("{{ messages[0].role[0] }}") + kPlain, conversation({{"assistant", "b"}})).find("of message 1, "),
            std::string::npos);
  EXPECT_NE(error_of("{% set x %}{% generation %}a{% endgeneration %}{% endset %}{{ x }}", conversation({{"user", "a"}}))
                .find("{% generation %}"),
            std::string::npos);
}

// As Qwen3's template does: what the assistant thought since the user last spoke is written, what it thought before is not.
TEST(EncodedChat, TurnsThatLoseTheirReasoningWhenTheUserSpeaksAgainAreFound) {
  const auto tokenizer = characters();
  const auto chat = chat_of("{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
                            "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and loop.index0 > ns.last %}({{ m.thought }}){% endif %}{{ m.content }};{% endfor %}"
                            "{% if add_generation_prompt %}<assistant>{% endif %}");
  Conversation talk = conversation({{"user", "a"}, {"assistant", "b"}, {"tool", "c"}, {"assistant", "d"}, {"user", "e"}, {"assistant", "f"}});
  for (OrderedJson& message : talk.messages) message["thought"] = "hm";
  const EncodedChat encoded = encode_chat(*tokenizer, *chat, talk);
  EXPECT_EQ(encoded.text, "<user>a;<assistant>b;<tool>c;<assistant>d;<user>e;<assistant>(hm)f;");
  std::string trained;
  for (std::size_t i = 0; i < encoded.text.size(); ++i) {
    if (encoded.loss_mask[i]) trained += encoded.text[i];
  }
  EXPECT_EQ(trained, "b;d;(hm)f;");
}

TEST(EncodedChat, ASpecialTokenThatIsPlainTextToTheTokenizerIsAnError) {
  const auto tokenizer = characters();
  const auto chat = chat_of("{{ eos_token }}", R"({"eos_token": "</s>"})");
  EXPECT_THROW(encode_chat(*tokenizer, *chat, conversation({{"user", "a"}})), Error);
}

// Real templates and tokenizers: the tokenizer of mixtral adds spaces, that of qwen3 normalizes.
struct RealChat {
  const char* name;
  const char* counted;
};

void PrintTo(const RealChat& chat, std::ostream* out) { *out << chat.name; }

class RealTemplates : public testing::TestWithParam<RealChat> {};

TEST_P(RealTemplates, CountTheAssistantsTurnsWithTheirEndTokens) {
  const fs::path folder = kShared / "data/tokenizers" / GetParam().name;
  if (!fs::exists(folder)) GTEST_SKIP() << "no " << folder << ": the shared reference data are not here";
  const auto tokenizer = open_tokenizer(folder);
  const EncodedChat chat = encode_chat(
      *tokenizer, *ChatTemplate::open(folder),
      conversation(
          {{"user", "What is 2+2, cafe\u0301?"}, {"assistant", "It is 4."}, {"user", "And 3+3?"}, {"assistant", "nai\u0308ve 6 \u4f60"}}));
  ASSERT_EQ(chat.loss_mask.size(), chat.ids.size());
  EXPECT_EQ(counted(*tokenizer, chat), GetParam().counted);
}

INSTANTIATE_TEST_SUITE_P(
    , RealTemplates,
    testing::Values(RealChat{"mixtral", "It is 4.</s>|nai\u0308ve 6 \u4f60</s>"},
                    RealChat{"llama2", "It is 4. </s>|nai\u0308ve 6 \u4f60 </s>"},
                    RealChat{"mistral_v3", " It is 4.</s>| nai\u0308ve 6 \u4f60</s>"},
                    RealChat{"llama3_1", "It is 4.<|eot_id|>|nai\u0308ve 6 \u4f60<|eot_id|>"},
                    RealChat{"qwen3", "It is 4.<|im_end|>\n|<think>\n\n</think>\n\nna\u00efve 6 \u4f60<|im_end|>\n"},
                    RealChat{
                        "deepseek_v3",
                        "It is 4.<\uff5cend\u2581of\u2581sentence\uff5c>|nai\u0308ve 6 \u4f60<\uff5cend\u2581of\u2581sentence\uff5c>"}),
    [](const testing::TestParamInfo<RealChat>& chat) { return std::string(chat.param.name); });

}  // namespace
}  // namespace sluice::text
