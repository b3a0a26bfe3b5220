#include "sluice/data/held_out.h"

#include "sluice/base/rng.h"

namespace sluice::data {

bool RowChoice::takes(std::int64_t row) const {
  if (part == Part::kAll) return true;
  constexpr std::uint64_t kStream = 0x48454C44;
  const double uniform = philox(0, static_cast<std::uint64_t>(row), kStream)[0] * 0x1.0p-32;
  return (uniform < held_out_fraction) == (part == Part::kHeldOut);
}

}  // namespace sluice::data
