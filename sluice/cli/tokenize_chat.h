// `sluice tokenize --chat`: conversations through a chat template and a tokenizer.
#pragma once
#include <iosfwd>

#include "sluice/text/chat_template.h"
#include "sluice/text/tokenizer.h"

namespace sluice::cli {

// For each line {"messages", "tools"?, "add_generation_prompt"?} of `in` writes {"text", "ids", "loss_mask"}, in order; without a
// tokenizer (null) {"text"}. Where the template refuses the conversation, {"error": its message}. Where it does not say which tokens the
// assistant wrote, "loss_mask" is null and "loss_mask_error" says why. An Error names "stdin:LINE"; the lines before it have been written.
void tokenize_chats(const text::ChatTemplate& chat, const text::Tokenizer* tokenizer, std::istream& in, std::ostream& out);

// The chat template at a tokenizer's `path`; Error when there is none.
std::unique_ptr<text::ChatTemplate> open_chat_template(const fs::path& path);

}  // namespace sluice::cli
