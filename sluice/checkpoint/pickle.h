// Pickles as PyTorch writes them (protocols 2 to 5), read into plain values. Nothing is imported and nothing is called: the few names
// that a pickle may mention are listed in pickle_globals.cpp, and an object is its class's name, arguments and state.
// Opcodes: https://docs.python.org/3/library/pickletools.html, PEP 307, PEP 3154, PEP 574.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::checkpoint {

// One value of a pickle. Values are shared (a pickle names one twice by its memo), but never hold themselves.
struct PickleValue {
  enum class Kind {
    kNone,
    kBool,        // integer
    kInt,         // integer
    kLong,        // text: more than 64 bits, little-endian, two's complement
    kFloat,       // real
    kString,      // text: UTF-8
    kBytes,       // text
    kList,        // items
    kTuple,       // items; torch.Size is one too
    kSet,         // items; frozenset is one too
    kDict,        // items: key, value, key, value, ... as stored: a later key wins; OrderedDict and defaultdict are one too
    kGlobal,      // text: "module.name"
    kObject,      // text: "module.name" of what made it; items: its arguments; state: what it was given after that, or null
    kPersistent,  // items: one, what torch.save names a storage with
  };

  Kind kind = Kind::kNone;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text;
  std::vector<const PickleValue*> items;
  const PickleValue* state = nullptr;

  bool is(Kind k) const { return kind == k; }
  // The value of a string key in a dict; null when there is none or this is no dict. Linear in the dict's size.
  const PickleValue* find(std::string_view key) const;
};

// "a list of 3", "the text \"abc\"": a value in a message.
std::string describe(const PickleValue& value);

// All values of one pickle; they live as long as the object, and their texts as long as the bytes it was read from.
class Pickle {
 public:
  // Values in one another go at most this deep.
  static constexpr int kMaxDepth = 64;

  // Reads the first pickle of `bytes`. Error naming `where`, the byte and what stands there: when it is cut short or damaged, mentions
  // a name that is not on the list, nests too deep, or expands by its memo to far more values than it has bytes (so that
  // walking over all of them takes time in proportion to the file). Reads nothing outside `bytes`, and holds some 100 bytes a byte read.
  Pickle(std::span<const std::byte> bytes, const std::string& where);

  const PickleValue& root() const { return *root_; }
  std::size_t num_bytes() const { return num_bytes_; }  // from the start to its STOP, included

 private:
  friend class PickleMachine;
  // A value, and what the reader must know of it. Containers are filled first and put into others afterwards; a value that has been
  // put somewhere takes no more, so that nothing can come to hold itself, and depth and size are final by then.
  struct Node : PickleValue {
    bool placed = false;
    int depth = 1;
    std::uint64_t size = 1;  // values met on a walk over all it holds
  };

  std::deque<Node> values_;
  std::deque<std::string> texts_;  // of values whose text does not stand in the bytes
  const PickleValue* root_ = nullptr;
  std::size_t num_bytes_ = 0;
};

}  // namespace sluice::checkpoint
