// A read-mostly hash table from a pair of ids to a small value: BPE merges, edges of a trie.
#pragma once
#include <cstdint>
#include <vector>

namespace sluice::text {

// Open addressing with linear probing; about 20 bytes an entry at half load.
template <class Value>
class PairTable {
 public:
  explicit PairTable(std::size_t expected = 0) { rebuild(expected); }

  // The value of (left, right), or nullptr; both ids >= 0.
  const Value* find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t i = slot_of(key);; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return &slots_[i].value;
      if (slots_[i].key == kEmpty) return nullptr;
    }
  }

  // Sets the value of (left, right), over an earlier one.
  void set(std::int32_t left, std::int32_t right, const Value& value) {
    if (2 * (size_ + 1) > slots_.size()) rebuild(2 * size_ + 1);
    put(key_of(left, right), value);
  }

 private:
  struct Slot {
    std::uint64_t key = kEmpty;
    Value value{};
  };
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};  // ids are not negative, so no pair has this key

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t slot_of(std::uint64_t key) const {  // Fibonacci hashing: the high bits are the mixed ones
    return static_cast<std::size_t>((key ^ key >> 29) * 0x9E3779B97F4A7C15ULL >> shift_) & mask_;
  }
  void put(std::uint64_t key, const Value& value) {
    std::size_t i = slot_of(key);
    while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
    size_ += slots_[i].key == kEmpty ? 1 : 0;
    slots_[i] = {key, value};
  }
  void rebuild(std::size_t expected) {
    std::vector<Slot> old = std::move(slots_);
    std::size_t capacity = 16;
    shift_ = 60;
    while (capacity < 2 * expected + 2) {
      capacity *= 2;
      --shift_;
    }
    slots_.assign(capacity, {});
    mask_ = capacity - 1;
    size_ = 0;
    for (const Slot& slot : old) {
      if (slot.key != kEmpty) put(slot.key, slot.value);
    }
  }

  std::vector<Slot> slots_;
  std::size_t mask_ = 0, size_ = 0;
  int shift_ = 60;
};

}  // namespace sluice::text
