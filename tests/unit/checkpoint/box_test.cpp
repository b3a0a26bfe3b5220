#include "sluice/checkpoint/box.h"

#include <map>

#include "scratch.h"
#include "sluice/base/rng.h"
#include "sluice/checkpoint/coverage.h"

namespace sluice::checkpoint {
namespace {

// Every position in a box, row-major: the slow path.
std::vector<std::vector<std::int64_t>> positions(const Box& box) {
  std::vector<std::vector<std::int64_t>> all = {{}};
  for (std::size_t d = 0; d < box.offsets.size(); ++d) {
    std::vector<std::vector<std::int64_t>> longer;
    for (const auto& start : all) {
      for (std::int64_t i = 0; i < box.lengths[d]; ++i) {
        longer.push_back(start);
        longer.back().push_back(box.offsets[d] + i);
      }
    }
    all = std::move(longer);
  }
  return all;
}

Box random_box(Rng& rng, const std::vector<std::int64_t>& shape) {
  Box box;
  for (const std::int64_t dim : shape) {
    const auto a = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(dim) + 1)),
               b = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(dim) + 1));
    box.offsets.push_back(std::min(a, b));
    box.lengths.push_back(std::max(a, b) - std::min(a, b));
  }
  return box;
}

std::vector<std::int64_t> random_shape(Rng& rng) {
  std::vector<std::int64_t> shape(rng.below(5));
  for (std::int64_t& dim : shape) dim = static_cast<std::int64_t>(1 + rng.below(4));
  return shape;
}

TEST(Box, CopiesWhatTwoBoxesShareAsElementByElement) {
  Rng rng(1, 0);
  int num_shared = 0;
  for (int round = 0; round < 2000; ++round) {
    const auto shape = random_shape(rng);
    // Whole and partial boxes, so that short and long runs both come up.
    const Box source_box = rng.below(3) == 0 ? whole(shape) : random_box(rng, shape),
              target_box = rng.below(3) == 0 ? whole(shape) : random_box(rng, shape);
    std::map<std::vector<std::int64_t>, std::uint16_t> held;
    std::vector<std::uint16_t> source, expected;
    for (const auto& position : positions(source_box)) source.push_back(held[position] = static_cast<std::uint16_t>(1000 + source.size()));
    for (const auto& position : positions(target_box)) expected.push_back(held.contains(position) ? held[position] : std::uint16_t{7});
    std::vector<std::uint16_t> target(expected.size(), 7);
    copy_shared(bytes_of(source), source_box, std::as_writable_bytes(std::span(target)), target_box, 2);
    ASSERT_EQ(target, expected) << to_string(source_box) << " to " << to_string(target_box);
    num_shared += intersect(source_box, target_box).has_value();
  }
  EXPECT_GT(num_shared, 500);
}

TEST(Box, SubtractingLeavesEveryOtherElementOnce) {
  Rng rng(2, 0);
  for (int round = 0; round < 1000; ++round) {
    const auto shape = random_shape(rng);
    const Box box = random_box(rng, shape), hole = random_box(rng, shape);
    if (num_elements(box) == 0) continue;
    std::map<std::vector<std::int64_t>, int> count;
    for (const auto& position : positions(box)) count[position] = 0;
    for (const Box& piece : subtract(box, hole)) {
      for (const auto& position : positions(piece)) ++count[position];
    }
    if (num_elements(hole) > 0) {
      for (const auto& position : positions(hole)) {
        if (count.contains(position)) ++count[position];
      }
    }
    for (const auto& [position, times] : count) ASSERT_EQ(times, 1) << to_string(box) << " without " << to_string(hole);
  }
}

TEST(Box, ARangeOfElementsIsAFewBoxesInOrder) {
  Rng rng(3, 0);
  for (int round = 0; round < 1000; ++round) {
    const auto shape = random_shape(rng);
    const auto all = positions(whole(shape));
    const auto a = rng.below(all.size() + 1), b = rng.below(all.size() + 1), begin = std::min(a, b), end = std::max(a, b);
    std::vector<std::vector<std::int64_t>> covered;
    const auto boxes = boxes_of_range(shape, static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end));
    for (const Box& box : boxes) {
      for (const auto& position : positions(box)) covered.push_back(position);
    }
    ASSERT_EQ(covered, std::vector(all.begin() + static_cast<std::ptrdiff_t>(begin), all.begin() + static_cast<std::ptrdiff_t>(end)));
    ASSERT_LE(boxes.size(), std::max<std::size_t>(1, 2 * shape.size()));
  }
}

TEST(Box, ReadsAsAPythonSlice) {
  EXPECT_EQ(to_string(Box{{0, 8}, {4, 8}}), "[0:4, 8:16]");
  EXPECT_EQ(to_string(Box{}), "[]");
}

TEST(Coverage, AcceptsAnyTilingAndASingleScalar) {
  check_coverage("t", {4, 4}, {{{{0, 0}, {2, 4}}, "a"}, {{{2, 0}, {2, 1}}, "b"}, {{{2, 1}, {2, 3}}, "c"}});
  check_coverage("t", {}, {{{}, "a"}});
  check_coverage("t", {0, 3}, {{{{0, 0}, {0, 3}}, "a"}});
}

TEST(Coverage, ListsWhatIsMissing) {
  const std::string message = error_of([] { check_coverage("tensor \"t\"", {4, 4}, {{{{0, 0}, {2, 4}}, "a"}, {{{2, 0}, {2, 1}}, "b"}}); });
  EXPECT_NE(message.find("tensor \"t\" lacks 6 of its 16 elements: [2:4, 1:4] of shape [4, 4]"), std::string::npos) << message;
}

TEST(Coverage, NamesBothHoldersOfAnElement) {
  const std::string message = error_of([] { check_coverage("t", {4, 4}, {{{{1, 0}, {3, 4}}, "b.st"}, {{{0, 0}, {2, 4}}, "a.st"}}); });
  EXPECT_NE(message.find("holds the elements [1:2, 0:4] twice: in a.st and in b.st"), std::string::npos) << message;
  EXPECT_NE(error_of([] { check_coverage("t", {}, {{{}, "a.st"}, {{}, "b.st"}}); }).find("twice: in a.st and in b.st"), std::string::npos);
}

}  // namespace
}  // namespace sluice::checkpoint
