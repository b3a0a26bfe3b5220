#include "sluice/text/model.h"

#include "sluice/text/bpe.h"

namespace sluice::text {

std::unique_ptr<Model> make_model(const ComponentSpec& spec, Vocabulary& vocabulary) {
  // Files older than the type's name hold BPE, which alone has merges.
  const std::string type = spec.text_or("type", spec.has("merges") ? "BPE" : "without a type");
  if (type == "BPE") return std::make_unique<Bpe>(spec, vocabulary);
  spec.fail("is \"" + type + "\", which is not supported", "use a tokenizer whose model is BPE");
}

}  // namespace sluice::text
