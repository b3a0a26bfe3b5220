// The names that a pickle may mention, and what each stands for.
#pragma once
#include <optional>
#include <string_view>

namespace sluice::checkpoint {

enum class GlobalMeaning {
  kOpaque,    // kept by name
  kDict,      // collections.OrderedDict, defaultdict
  kSequence,  // torch.Size and tuple: of their one argument, a tuple
  kList,      // list
  kSet,       // set, frozenset
  kEncode,    // _codecs.encode(text, "latin1"): how protocol 2 writes bytes
};

// What "module" and "name" stand for; nothing for a name that is not on the list.
std::optional<GlobalMeaning> find_global(std::string_view module, std::string_view name);

}  // namespace sluice::checkpoint
