// Tokens and their ids, both ways.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
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

  // Makes room for `count` tokens in all.
  void reserve(std::size_t count);

 private:
  // Open addressing with linear probing, at most half full.
  struct Slot {
    std::uint32_t hash = 0;  // the upper half; the lower one says where to look
    std::int32_t id = -1;    // -1: free
  };
  std::size_t slot_of(std::string_view token, std::uint64_t hash) const;  // of the token, or the free one where it belongs
  void set(std::string_view token, std::int32_t id);

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  std::deque<std::string> texts_;           // one for each token in slots_
  std::vector<const std::string*> tokens_;  // by id, into texts_
};

}  // namespace sluice::text
