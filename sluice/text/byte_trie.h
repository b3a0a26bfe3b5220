// A trie over bytes: which of a set of strings a text begins with.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "sluice/text/pair_table.h"

namespace sluice::text {

class ByteTrie {
 public:
  // Maps `key`, not empty, to `value` >= 0, over an earlier value.
  void set(std::string_view key, std::int32_t value) {
    std::int32_t node = 0;
    for (const char byte : key) {
      const std::int32_t edge = static_cast<unsigned char>(byte);
      const std::int32_t* next = edges_.find(node, edge);
      if (next != nullptr) {
        node = *next;
        continue;
      }
      const auto made = static_cast<std::int32_t>(values_.size());
      values_.push_back(-1);
      edges_.set(node, edge, made);
      node = made;
    }
    values_[static_cast<std::size_t>(node)] = value;
  }

  // Calls visit(length, value) for each key that `text` begins with, the shortest first.
  template <class Visit>
  void for_each_prefix(std::string_view text, const Visit& visit) const {
    std::int32_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const std::int32_t* next = edges_.find(node, static_cast<unsigned char>(text[i]));
      if (next == nullptr) return;
      node = *next;
      if (const std::int32_t value = values_[static_cast<std::size_t>(node)]; value >= 0) visit(i + 1, value);
    }
  }

 private:
  PairTable<std::int32_t> edges_;            // (node, byte) -> node
  std::vector<std::int32_t> values_ = {-1};  // by node, -1 where no key ends; node 0 is the root
};

}  // namespace sluice::text
