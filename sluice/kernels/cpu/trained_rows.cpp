#include "sluice/kernels/cpu/trained_rows.h"

#include <string>

#include "sluice/base/error.h"

namespace sluice::kernels::cpu {

std::int64_t find_trained_rows(const HeadLossInput& input, std::int64_t* rows) {
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < input.rows; ++r) {
    const std::int64_t label = input.labels[r];
    if (label == kIgnoredLabel) continue;
    if (label < 0 || label >= input.vocab) {
      throw Error("label " + std::to_string(label) + " of row " + std::to_string(r) + " is not a token of the model's " +
                      std::to_string(input.vocab),
                  "use the tokenizer that belongs to the model, or a model with a larger vocabulary; " + std::to_string(kIgnoredLabel) +
                      " marks a row without a label");
    }
    rows[count++] = r;
  }
  return count;
}

}  // namespace sluice::kernels::cpu
