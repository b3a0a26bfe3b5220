// A model's logits for given tokens: the door for parity checks.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/generate/loaded_model.h"

namespace sluice::generate {

// Rows of token ids, all of one length.
using TokenRows = std::vector<std::vector<std::int32_t>>;

// Reads JSON [[ids], ...] from `path`. Error for anything else, for no rows, and for an id outside int32.
TokenRows read_token_rows(const fs::path& path);

// Calls `take` with the logits of the rows' tokens in order, row after row, a chunk at a time: float32 [chunk, vocab]. Memory stays at
// one chunk of logits whatever the rows. Error when rows differ in length, or one is empty, too long, or outside the vocabulary; and when
// logits are not finite.
void for_each_logits(const Runnable& runnable, const TokenRows& rows, const std::function<void(const at::Tensor& logits)>& take);

// All at once: float32 [rows, seq, vocab].
at::Tensor logits(const Runnable& runnable, const TokenRows& rows);

// Streams them into the safetensors file `path` as tensor "logits", float32 [rows, seq, vocab].
void write_logits(const Runnable& runnable, const TokenRows& rows, const fs::path& path);

}  // namespace sluice::generate
