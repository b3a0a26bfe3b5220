// Packed rows, one document after the other.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace sluice::nn {

// What `part(begin, length)` gives for the tokens of each document, [length, ...], one below the other. `documents` holds where each begins
// and where the last ends.
template <class Part>
at::Tensor each_document(const std::vector<std::int64_t>& documents, const Part& part) {
  std::vector<at::Tensor> out;
  for (std::size_t i = 0; i + 1 < documents.size(); ++i) out.push_back(part(documents[i], documents[i + 1] - documents[i]));
  return at::cat(out, 0);
}

}  // namespace sluice::nn
