#include "sluice/text/vocabulary.h"

#include <functional>
#include <utility>

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

void Vocabulary::reserve(std::size_t count) {
  if (2 * count <= slots_.size()) return;
  std::size_t capacity = slots_.size();
  while (capacity < 2 * count) capacity *= 2;
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(capacity));
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    const std::string& token = *tokens_[static_cast<std::size_t>(slot.id)];
    slots_[slot_of(token, std::hash<std::string_view>{}(token))] = slot;
  }
}

std::size_t Vocabulary::slot_of(std::string_view token, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.id < 0 || (slot.hash == hash >> 32 && *tokens_[static_cast<std::size_t>(slot.id)] == token)) return i;
  }
}

void Vocabulary::set(std::string_view token, std::int32_t id) {
  reserve(texts_.size() + 1);
  const std::uint64_t hash = std::hash<std::string_view>{}(token);
  Slot& slot = slots_[slot_of(token, hash)];
  const std::string* text = slot.id < 0 ? &texts_.emplace_back(token) : tokens_[static_cast<std::size_t>(slot.id)];
  slot = {static_cast<std::uint32_t>(hash >> 32), id};
  if (id >= size()) tokens_.resize(static_cast<std::size_t>(id) + 1, nullptr);
  tokens_[static_cast<std::size_t>(id)] = text;
}

void Vocabulary::add(std::string_view token, std::int32_t id, const ComponentSpec& spec) {
  const std::string* holder = this->token(id);
  if (holder != nullptr && *holder != token) {
    spec.fail("gives the id " + std::to_string(id) + " to both \"" + *holder + "\" and \"" + std::string(token) + "\"",
              "give every token its own id");
  }
  if (const auto earlier = this->id(token); earlier && *earlier != id) {
    spec.fail("gives the token \"" + std::string(token) + "\" both the id " + std::to_string(*earlier) + " and " + std::to_string(id),
              "give every token one id");
  }
  set(token, id);
}

void Vocabulary::add_all(const ComponentSpec& spec) {
  const Json& tokens = spec.value("vocab");
  if (!tokens.is_object() || tokens.empty()) spec.fail("has a \"vocab\" that is not an object of tokens", "use a whole tokenizer file");
  reserve(tokens.size());
  for (const auto& [token, id] : tokens.get_ref<const Json::object_t&>()) add(token, checked_id(id, spec), spec);
}

void Vocabulary::add_again(std::string_view token, std::int32_t id, const ComponentSpec& spec) {
  if (!this->id(token) || this->token(id) != nullptr) return add(token, id, spec);
  set(token, id);
}

std::optional<std::int32_t> Vocabulary::id(std::string_view token) const {
  const std::int32_t id = slots_[slot_of(token, std::hash<std::string_view>{}(token))].id;
  return id < 0 ? std::nullopt : std::optional(id);
}

const std::string* Vocabulary::token(std::int32_t id) const {
  return id >= 0 && id < size() ? tokens_[static_cast<std::size_t>(id)] : nullptr;
}

}  // namespace sluice::text
