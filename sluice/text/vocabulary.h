// Tokens and their ids, both ways.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sluice/text/component.h"

namespace sluice::text {

// The largest id a tokenizer may have; the largest vocabularies in use have some 260,000 tokens.
inline constexpr std::int32_t kMaxId = (1 << 24) - 1;

// `id` as a token's id; Error, naming the place of `spec`, when it is not an integer in [0, kMaxId].
std::int32_t checked_id(const Json& id, const ComponentSpec& spec);

class Vocabulary {
 public:
  // Error when the id already belongs to another token.
  void add(std::string_view token, std::int32_t id, const ComponentSpec& spec);

  // Adds the tokens of {"vocab": {token: id}}.
  void add_all(const ComponentSpec& spec);

  // As add(), but `token` may have an id already: it keeps the earlier one for decoding and gets `id` for encoding.
  void add_again(std::string_view token, std::int32_t id, const ComponentSpec& spec);

  std::optional<std::int32_t> id(std::string_view token) const;
  const std::string* token(std::int32_t id) const;                                 // nullptr for an id without a token
  std::int64_t size() const { return static_cast<std::int64_t>(tokens_.size()); }  // highest id + 1

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
  std::vector<const std::string*> tokens_;  // by id, the keys of ids_
};

}  // namespace sluice::text
