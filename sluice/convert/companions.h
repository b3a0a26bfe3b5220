// What lies beside the weights of a converted model.
#pragma once
#include "sluice/convert/writers.h"

namespace sluice::convert {

// The type of most of the weights: that of the largest tensor.
checkpoint::DType main_dtype(const Tensors& tensors);

// Writes the source's config.json, with what we know better (both styles of key, the type, no quantisation), its tokenizer,
// generation_config.json and routing_supervision.json into the folder `to`.
void write_companions(const Source& source, checkpoint::DType dtype, const fs::path& to);

}  // namespace sluice::convert
