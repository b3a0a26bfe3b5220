// Compares a conversion with its source by what both compute.
#pragma once
#include "sluice/base/log.h"
#include "sluice/convert/source.h"

namespace sluice::convert {

// kOn: an Error when the divergence passes 1e-5 nats: the types are the same, so nothing but a fault can move it. kOff: it is only said.
enum class Gate { kOn, kOff };

// Whether the model, in float32, fits into the memory that the machine has free.
bool fits_in_memory(const Source& source);

// Logits of both in float32 over all positions of a probe (512 tokens: a text where there is a tokenizer, and random ids): mean and largest
// KL(source || result), the largest difference of a logit, and the experts that no token of the probe reached, whose weights logits do not
// compare. The result is read the way that any other command reads it. Memory holds one layer of each and what is in no layer; where all
// weights and settings are the same bits, as of a conversion that keeps the type, the source's pass is the result's too.
void verify(Source& source, const fs::path& result, Gate gate, Log& log);

}  // namespace sluice::convert
