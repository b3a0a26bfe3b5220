#include "sluice/text/vocabulary.h"

namespace sluice::text {

std::int32_t checked_id(const Json& id, const ComponentSpec& spec) {
  const bool valid = id.is_number_integer() && (id.is_number_unsigned() ? id.get<std::uint64_t>() <= static_cast<std::uint64_t>(kMaxId)
                                                                        : id.get<std::int64_t>() >= 0 && id.get<std::int64_t>() <= kMaxId);
  if (!valid) {
    spec.fail("has the token id " + dump_json(id).substr(0, 60) + ", which must be an integer from 0 to " + std::to_string(kMaxId),
              "mend the tokenizer file");
  }
  return id.get<std::int32_t>();
}

void Vocabulary::add(std::string_view token, std::int32_t id, const ComponentSpec& spec) {
  const std::string* holder = this->token(id);
  if (holder != nullptr && *holder != token) {
    spec.fail("gives the id " + std::to_string(id) + " to both \"" + *holder + "\" and \"" + std::string(token) + "\"",
              "give every token its own id");
  }
  const auto [entry, inserted] = ids_.emplace(token, id);
  if (!inserted && entry->second != id) {
    spec.fail("gives the token \"" + std::string(token) + "\" both the id " + std::to_string(entry->second) + " and " + std::to_string(id),
              "give every token one id");
  }
  if (id >= size()) tokens_.resize(static_cast<std::size_t>(id) + 1, nullptr);
  tokens_[static_cast<std::size_t>(id)] = &entry->first;
}

void Vocabulary::add_all(const ComponentSpec& spec) {
  const Json& tokens = spec.value("vocab");
  if (!tokens.is_object() || tokens.empty()) spec.fail("has a \"vocab\" that is not an object of tokens", "use a whole tokenizer file");
  for (const auto& [token, id] : tokens.items()) add(token, checked_id(id, spec), spec);
}

void Vocabulary::add_again(std::string_view token, std::int32_t id, const ComponentSpec& spec) {
  const auto entry = ids_.find(token);
  if (entry == ids_.end() || this->token(id) != nullptr) return add(token, id, spec);
  entry->second = id;
  if (id >= size()) tokens_.resize(static_cast<std::size_t>(id) + 1, nullptr);
  tokens_[static_cast<std::size_t>(id)] = &entry->first;
}

std::optional<std::int32_t> Vocabulary::id(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* Vocabulary::token(std::int32_t id) const {
  return id >= 0 && id < size() ? tokens_[static_cast<std::size_t>(id)] : nullptr;
}

}  // namespace sluice::text
