#include "sluice/text/model.h"

#include "sluice/text/bpe.h"
#include "sluice/text/unigram.h"
#include "sluice/text/word_models.h"

namespace sluice::text {
// Files older than the type's name are told apart by what each type alone has.
namespace {

std::string type_of(const ComponentSpec& spec) {
  if (spec.has("type")) return spec.type();
  if (spec.has("merges")) return "BPE";
  if (spec.value("vocab").is_array()) return "Unigram";
  return spec.has("continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

}  // namespace

std::unique_ptr<Model> make_model(const ComponentSpec& spec, Vocabulary& vocabulary) {
  const std::string type = type_of(spec);
  if (type == "BPE") return std::make_unique<Bpe>(spec, vocabulary);
  if (type == "Unigram") return std::make_unique<Unigram>(spec, vocabulary);
  if (type == "WordPiece") return std::make_unique<WordPiece>(spec, vocabulary);
  if (type == "WordLevel") return std::make_unique<WordLevel>(spec, vocabulary);
  spec.fail("is \"" + type + "\", which is not supported", "use a tokenizer whose model is BPE, Unigram, WordPiece or WordLevel");
}

}  // namespace sluice::text
