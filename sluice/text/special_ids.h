// Which tokens are BOS, EOS and padding, from the files beside a tokenizer.
#pragma once
#include "sluice/text/tokenizer.h"

namespace sluice::text {

// Reads bos_token, eos_token and pad_token from tokenizer_config.json in `folder`, and from special_tokens_map.json what that does not
// mention; a token is a string or {"content": string}. Nothing where neither file says. Error when a token has no id in `tokenizer`.
SpecialIds read_special_ids(const fs::path& folder, const Tokenizer& tokenizer);

}  // namespace sluice::text
