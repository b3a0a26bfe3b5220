// Which tokens of a conversation are trained on.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/data/instruct/config.h"
#include "sluice/data/instruct/templates.h"
#include "sluice/text/chat_template.h"
#include "sluice/text/tokenizer.h"

namespace sluice::data {

struct MaskedConversation {
  std::string text;
  std::vector<std::int32_t> ids;
  std::vector<float> weights;  // one a token: 0 where it is not trained on, else the weight of the message it belongs to
  enum class End { kTrained, kLeftOut, kNone };
  End end =
      End::kNone;  // of the last turn that is trained on: its end token is trained on, was left out by train_on_end, or does not exist
};

// `conversation` as `format` renders it, with what the assistant wrote (text/assistant_spans.h) weighted by the "weight" of its message, 1
// where it has none; with train_on last, only the last of the assistant's messages. The end of a turn is the special token that ends it,
// with the white space behind that, or format.plain_end. Error when the template refuses the conversation, or does not say which tokens are
// whose.
MaskedConversation mask(const text::Conversation& conversation, const PromptTemplate& format, const text::Tokenizer& tokenizer,
                        const InstructConfig& config);

}  // namespace sluice::data
