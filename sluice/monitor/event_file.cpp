#include "sluice/monitor/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>

#include "sluice/base/crc32c.h"
#include "sluice/base/error.h"

namespace sluice::monitor {
namespace {

// Field numbers of tensorflow/core/util/event.proto and framework/summary.proto.
constexpr unsigned kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3, kEventSummary = 5, kEventSessionLog = 7;
constexpr unsigned kSummaryValue = 1, kValueTag = 1, kValueSimple = 2, kSessionLogStatus = 1;
constexpr std::uint64_t kSessionStart = 1;
constexpr unsigned kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;  // wire types
constexpr std::size_t kMaxExpertTags = 64;

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

template <class T>
void put_little_endian(std::string& out, T value) {
  for (std::size_t byte = 0; byte < sizeof(T); ++byte) out.push_back(static_cast<char>(value >> (8 * byte)));
}

void put_key(std::string& out, unsigned field, unsigned wire_type) { put_varint(out, field << 3 | wire_type); }

void put_bytes(std::string& out, unsigned field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out.append(bytes);
}

std::uint32_t masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(std::as_bytes(std::span(bytes)));
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;  // the mask of TFRecord (tensorflow/tsl/lib/hash/crc32c.h)
}

std::string event_header(std::int64_t step) {
  const double wall_time = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::string out;
  put_key(out, kEventWallTime, kFixed64);
  put_little_endian(out, std::bit_cast<std::uint64_t>(wall_time));
  put_key(out, kEventStep, kVarint);
  put_varint(out, static_cast<std::uint64_t>(step));
  return out;
}

std::string numbered(const char* prefix, std::size_t number) {
  const std::string digits = std::to_string(number);
  return prefix + std::string(digits.size() < 2 ? 1 : 0, '0') + digits;
}

// A name that no file of the run has yet: two parts of a run may start within a second.
fs::path fresh_path(const fs::path& run_folder) {
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0) std::strcpy(host, "unknown");
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (int copy = 0;; ++copy) {
    const std::string name = "events.out.tfevents." + std::to_string(seconds) + "." + host + "." + std::to_string(getpid());
    const fs::path path = run_folder / (copy == 0 ? name : name + "." + std::to_string(copy));
    if (!fs::exists(path)) return path;
  }
}

}  // namespace

std::string tf_record(std::string_view data) {
  std::string out;
  put_little_endian(out, static_cast<std::uint64_t>(data.size()));
  put_little_endian(out, masked_crc(out));
  out.append(data);
  put_little_endian(out, masked_crc(data));
  return out;
}

std::vector<Scalar> scalars_of(const StepMetrics& metrics) {
  std::vector<Scalar> out = {{"train/loss", metrics.train.loss},
                             {"train/lm_loss", metrics.train.lm_loss},
                             {"train/aux_loss", metrics.train.aux_loss},
                             {"train/z_loss", metrics.train.z_loss},
                             {"train/routing_supervision_loss", metrics.train.routing_supervision_loss},
                             {"train/learning_rate", metrics.learning_rate},
                             {"train/grad_norm", metrics.grad_norm},
                             {"train/tokens_per_second", metrics.tokens_per_second}};
  if (metrics.train.mtp_loss) out.push_back({"train/mtp_loss", *metrics.train.mtp_loss});
  if (metrics.validation) {
    out.push_back({"validation/loss", metrics.validation->loss});
    out.push_back({"validation/lm_loss", metrics.validation->lm_loss});
  }
  if (metrics.dropped_share) out.push_back({"moe/dropped_share", *metrics.dropped_share});
  const ExpertShares load = metrics.expert_load.value_or(ExpertShares{});
  for (std::size_t layer = 0; layer < load.size(); ++layer) {
    const std::vector<double>& shares = load[layer];
    if (shares.empty()) continue;
    const std::string prefix = numbered("moe/layer_", layer) + "/";
    const auto [smallest, largest] = std::minmax_element(shares.begin(), shares.end());
    out.push_back({prefix + "smallest_share", *smallest});
    out.push_back({prefix + "largest_share", *largest});
    if (shares.size() > kMaxExpertTags) continue;
    for (std::size_t expert = 0; expert < shares.size(); ++expert) out.push_back({prefix + numbered("expert_", expert), shares[expert]});
  }
  return out;
}

EventFile::EventFile(const fs::path& run_folder, std::int64_t first_step)
    : path_(fresh_path(run_folder)), file_(path_, O_WRONLY | O_CREAT | O_EXCL | O_APPEND) {
  std::string version = event_header(0);
  put_bytes(version, kEventFileVersion, "brain.Event:2");
  std::string session;
  put_key(session, kSessionLogStatus, kVarint);
  put_varint(session, kSessionStart);
  std::string start = event_header(first_step);
  put_bytes(start, kEventSessionLog, session);
  append(tf_record(version) + tf_record(start));
}

void EventFile::append(const std::string& records) {
  try {
    file_.write_all(records);
    size_bytes_ += static_cast<std::int64_t>(records.size());
  } catch (const Error&) {
    // Where this fails too, readers take the record that is cut for the end of the file.
    [[maybe_unused]] const int shortened = ftruncate(file_.get(), size_bytes_);
    throw;
  }
}

void EventFile::write(std::int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    std::string value;
    put_bytes(value, kValueTag, scalar.tag);
    put_key(value, kValueSimple, kFixed32);
    put_little_endian(value, std::bit_cast<std::uint32_t>(static_cast<float>(scalar.value)));
    put_bytes(summary, kSummaryValue, value);
  }
  std::string event = event_header(step);
  put_bytes(event, kEventSummary, summary);
  append(tf_record(event));
}

}  // namespace sluice::monitor
