#include "sluice/text/post_processor.h"

#include <array>

#include "sluice/text/vocabulary.h"

namespace sluice::text {
namespace {

using Ids = std::vector<std::int32_t>;

class SequencePostProcessor final : public PostProcessor {
 public:
  explicit SequencePostProcessor(const ComponentSpec& spec) {
    for (const ComponentSpec& part : spec.children("processors")) parts_.push_back(make_post_processor(part));
  }
  Ids apply(Ids ids) const override {
    for (const auto& part : parts_) ids = part->apply(std::move(ids));
    return ids;
  }

 private:
  std::vector<std::unique_ptr<PostProcessor>> parts_;
};

// Changes offsets only, which we do not keep.
class ByteLevelPostProcessor final : public PostProcessor {
 public:
  explicit ByteLevelPostProcessor(const ComponentSpec&) {}
  Ids apply(Ids ids) const override { return ids; }
};

class Template final : public PostProcessor {
 public:
  explicit Template(const ComponentSpec& spec) {
    const ComponentSpec specials = spec.child("special_tokens");
    int texts = 0;
    for (const ComponentSpec& item : spec.children("single")) {
      if (item.has("Sequence")) {
        ++texts;
      } else if (item.has("SpecialToken")) {
        const std::string name = item.child("SpecialToken").text("id");
        if (!specials.has(name.c_str())) item.fail("names \"" + name + "\", which special_tokens lacks", "add it there");
        Ids& side = texts == 0 ? before_ : after_;
        const ComponentSpec special = specials.child(name.c_str());
        for (const Json& id : special.value("ids")) side.push_back(checked_id(id, special));
      } else {
        item.fail("is neither a Sequence nor a SpecialToken", "mend the template");
      }
    }
    if (texts != 1) spec.fail("names the text " + std::to_string(texts) + " times in \"single\"", "name Sequence A once");
  }
  Ids apply(Ids ids) const override {
    ids.insert(ids.begin(), before_.begin(), before_.end());
    ids.insert(ids.end(), after_.begin(), after_.end());
    return ids;
  }

 private:
  Ids before_, after_;
};

// "cls" before and "sep" after, each ["<s>", 0].
class ClsSep final : public PostProcessor {
 public:
  explicit ClsSep(const ComponentSpec& spec) : cls_(id_of(spec, "cls")), sep_(id_of(spec, "sep")) {}
  Ids apply(Ids ids) const override {
    ids.insert(ids.begin(), cls_);
    ids.push_back(sep_);
    return ids;
  }

 private:
  static std::int32_t id_of(const ComponentSpec& spec, const char* key) {
    const Json& pair = spec.value(key);
    if (!pair.is_array() || pair.size() != 2) spec.fail("has a \"" + std::string(key) + "\" that is not [token, id]", "mend the file");
    return checked_id(pair[1], spec);
  }
  std::int32_t cls_, sep_;
};

constexpr std::array<ComponentEntry<PostProcessor>, 5> kPostProcessors = {{
    entry_for<PostProcessor, SequencePostProcessor>("Sequence"),
    entry_for<PostProcessor, ByteLevelPostProcessor>("ByteLevel"),
    entry_for<PostProcessor, Template>("TemplateProcessing"),
    entry_for<PostProcessor, ClsSep>("RobertaProcessing"),
    entry_for<PostProcessor, ClsSep>("BertProcessing"),
}};

}  // namespace

std::unique_ptr<PostProcessor> make_post_processor(const ComponentSpec& spec) {
  return make_component<PostProcessor>(spec, kPostProcessors, "post-processor");
}

}  // namespace sluice::text
