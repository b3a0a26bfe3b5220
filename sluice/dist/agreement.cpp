#include "sluice/dist/agreement.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <span>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"

namespace sluice::dist {

std::uint64_t checksum(const at::Tensor& tensor) {
  SLUICE_CHECK(tensor.is_contiguous(), "a checksum is of a contiguous tensor");
  const at::Tensor here = tensor.cpu();
  const std::span bytes(static_cast<const std::byte*>(here.const_data_ptr()), static_cast<std::size_t>(here.nbytes()));
  const std::size_t half = bytes.size() / 2;
  return std::uint64_t{crc32c(bytes.first(half))} << 32 | crc32c(bytes.subspan(half));
}

std::vector<std::int64_t> ranks_that_differ(const Group& group, std::uint64_t number) {
  at::Tensor all = at::empty({group.size()}, at::kLong);
  group.start_all_gather(all, at::full({1}, std::bit_cast<std::int64_t>(number), at::kLong))->wait();
  const std::span numbers(all.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(group.size()));
  const auto having = [&](std::int64_t value) { return std::ranges::count(numbers, value); };
  const std::int64_t right = *std::ranges::max_element(numbers, {}, having);  // the first of equals
  std::vector<std::int64_t> out;
  for (std::int64_t rank = 0; rank < group.size(); ++rank) {
    if (numbers[static_cast<std::size_t>(rank)] != right) out.push_back(rank);
  }
  return out;
}

}  // namespace sluice::dist
