#include "sluice/monitor/event_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <bit>
#include <cstring>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"
#include "tests/unit/monitor/made_up_run.h"

namespace sluice::monitor {
namespace {

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t at = bytes.size(); at-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at]);
  return value;
}

// What a reader of TFRecord files does: unmask, compare.
bool crc_fits(std::string_view data, std::string_view stored) {
  const std::uint32_t rotated = static_cast<std::uint32_t>(little_endian(stored)) - 0xa282ead8u;
  return (rotated >> 17 | rotated << 15) == crc32c(std::as_bytes(std::span(data)));
}

std::vector<std::string> records(const std::string& file) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < file.size();) {
    const std::string_view rest = std::string_view(file).substr(at);
    const std::size_t size = little_endian(rest.substr(0, 8));
    EXPECT_TRUE(crc_fits(rest.substr(0, 8), rest.substr(8, 4)));
    EXPECT_TRUE(crc_fits(rest.substr(12, size), rest.substr(12 + size, 4)));
    out.emplace_back(rest.substr(12, size));
    at += 16 + size;
  }
  return out;
}

// A protobuf field number and its bytes (varints as a number), read by the rules of the wire format alone.
struct Field {
  unsigned number;
  std::uint64_t value;
  std::string bytes;
};
std::vector<Field> fields(std::string_view message) {
  std::vector<Field> out;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.front());
      message.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (!message.empty()) {
    const std::uint64_t key = varint();
    Field field{static_cast<unsigned>(key >> 3), 0, ""};
    const std::size_t size = (key & 7) == 1 ? 8 : (key & 7) == 5 ? 4 : 0;
    if ((key & 7) == 0) field.value = varint();
    if ((key & 7) == 2) field.bytes = message.substr(0, varint());
    if (size > 0) field.value = little_endian(message.substr(0, size));
    if ((key & 7) == 2) field.bytes = std::string(message.substr(0, field.bytes.size()));
    message.remove_prefix((key & 7) == 2 ? field.bytes.size() : size);
    out.push_back(field);
  }
  return out;
}

TEST(EventFile, FramesARecordAsTfRecordDoes) {
  // crc32c of "123456789" is 0xe3069283 (RFC 3720's check value); masked by hand: rotate right 15, add 0xa282ead8.
  const std::string record = tf_record("123456789");
  ASSERT_EQ(record.size(), 8u + 4 + 9 + 4);
  EXPECT_EQ(little_endian(record.substr(0, 8)), 9u);
  const std::uint32_t rotated = 0xe3069283u >> 15 | 0xe3069283u << 17;
  EXPECT_EQ(little_endian(record.substr(21, 4)), static_cast<std::uint32_t>(rotated + 0xa282ead8u));
  EXPECT_TRUE(crc_fits(record.substr(0, 8), record.substr(8, 4)));
}

TEST(EventFile, HoldsVersionSessionStartAndScalars) {
  const TemporaryFolder run;
  EventFile file(run.path(), 41);
  file.write(300, {{"train/loss", 2.5}, {"moe/layer_00/expert_07", 0.125}});
  EXPECT_TRUE(file.path().filename().string().starts_with("events.out.tfevents."));
  const auto all = records(read_file(file.path()));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(fields(all[0]).back().bytes, "brain.Event:2");
  const auto start = fields(all[1]);
  EXPECT_EQ(start[1].value, 41u);
  EXPECT_EQ(start[2].number, 7u);
  const auto event = fields(all[2]);
  EXPECT_NEAR(std::bit_cast<double>(event[0].value), static_cast<double>(std::time(nullptr)), 60);
  EXPECT_EQ(event[1].value, 300u);
  const auto values = fields(event[2].bytes);
  ASSERT_EQ(values.size(), 2u);
  const auto loss = fields(values[0].bytes);
  EXPECT_EQ(loss[0].bytes, "train/loss");
  EXPECT_EQ(std::bit_cast<float>(static_cast<std::uint32_t>(loss[1].value)), 2.5f);
  EXPECT_EQ(fields(values[1].bytes)[0].bytes, "moe/layer_00/expert_07");
}

TEST(EventFile, IsAsItWasAfterAWriteThatFailed) {
  const TemporaryFolder run;
  EventFile file(run.path(), 1);
  file.write(1, {{"train/loss", 2.5}});
  const std::string before = read_file(file.path());
  rlimit former{};
  getrlimit(RLIMIT_FSIZE, &former);
  const rlimit small{before.size() + 20, former.rlim_max};  // a record takes more: its beginning is written, its end is not
  const auto on_limit = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(file.write(2, {{"train/loss", 2.25}}), Error);
  setrlimit(RLIMIT_FSIZE, &former);
  signal(SIGXFSZ, on_limit);
  EXPECT_EQ(read_file(file.path()), before);
  file.write(3, {{"train/loss", 2}});
  EXPECT_EQ(records(read_file(file.path())).size(), 4u);
}

TEST(EventFile, NeverWritesIntoAnEarlierFile) {
  const TemporaryFolder run;
  const EventFile first(run.path(), 1), second(run.path(), 1);
  EXPECT_NE(first.path(), second.path());
}

TEST(EventFile, NamesExpertsUpToSixtyFourAndExtremesAlways) {
  StepMetrics metrics = made_up_step(3, 10);
  metrics.expert_load = ExpertShares{{0.25, 0.75}, std::vector<double>(65, 1.0 / 65)};
  std::vector<std::string> moe;
  for (const Scalar& scalar : scalars_of(metrics)) {
    if (scalar.tag.starts_with("moe/")) moe.push_back(scalar.tag);
  }
  EXPECT_EQ(moe, (std::vector<std::string>{"moe/layer_00/smallest_share", "moe/layer_00/largest_share", "moe/layer_00/expert_00",
                                           "moe/layer_00/expert_01", "moe/layer_01/smallest_share", "moe/layer_01/largest_share"}));
}

}  // namespace
}  // namespace sluice::monitor
