#include "sluice/text/special_ids.h"

#include "sluice/text/component.h"

namespace sluice::text {
namespace {

// The token under `key`; nothing when the file sets it to null or lacks it.
std::optional<std::string> token_name(const ComponentSpec& config, const char* key) {
  if (!config.has(key)) return std::nullopt;
  return config.value(key).is_object() ? config.child(key).text("content") : config.text(key);
}

}  // namespace

SpecialIds read_special_ids(const fs::path& folder, const Tokenizer& tokenizer) {
  SpecialIds ids;
  struct Role {
    const char* key;
    std::optional<std::int32_t>* id;
    bool decided = false;
  };
  Role roles[] = {{"bos_token", &ids.bos}, {"eos_token", &ids.eos}, {"pad_token", &ids.pad}};
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const fs::path path = folder / name;
    if (!fs::exists(path)) continue;
    const Json json = parse_json(read_file(path), path.string());
    const ComponentSpec config(json, path.string());
    for (Role& role : roles) {
      if (role.decided || !json.contains(role.key)) continue;
      role.decided = true;
      const std::optional<std::string> token = token_name(config, role.key);
      if (!token) continue;
      *role.id = tokenizer.token_id(*token);
      if (!*role.id) {
        config.fail("names \"" + *token + "\" as " + role.key + ", which the vocabulary lacks",
                    "add it to the tokenizer's added tokens, or set " + std::string(role.key) + " to null");
      }
    }
  }
  return ids;
}

}  // namespace sluice::text
