// Whether parts make up a whole tensor.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/checkpoint/box.h"

namespace sluice::checkpoint {

struct LocatedBox {
  Box box;
  std::string where;  // the file that holds it, for messages
};

// Every element of `shape` lies in exactly one of `boxes`, all of which lie inside. Otherwise an Error naming `what` that says which
// elements are missing, or which two files hold the same ones.
void check_coverage(const std::string& what, const std::vector<std::int64_t>& shape, std::vector<LocatedBox> boxes);

}  // namespace sluice::checkpoint
