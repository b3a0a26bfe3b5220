// Which of the failures that are no Error of ours the user can fix all the same.
#pragma once
#include <exception>
#include <optional>

#include "sluice/base/error.h"

namespace sluice {

// The Error that `failure` is or means: a path that cannot be used (std::filesystem), memory that ran out (the standard's and libtorch's
// own). Nothing for what only we can fix.
std::optional<Error> user_error(const std::exception& failure);

}  // namespace sluice
