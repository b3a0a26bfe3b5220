#include "sluice/dist/trace.h"

#include <algorithm>
#include <chrono>

#include "sluice/base/error.h"
#include "sluice/base/json.h"

namespace sluice::dist {
namespace {

constexpr std::int64_t kFlushEvery_us = 1'000'000;

}  // namespace

// The time of day, which does not jump while the program runs.
std::int64_t TraceWriter::now_us() {
  using Steady = std::chrono::steady_clock;
  using std::chrono::microseconds;
  static const auto start = Steady::now();
  static const auto day = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<microseconds>(day + (Steady::now() - start)).count();
}

TraceWriter::~TraceWriter() {
  try {
    close();
  } catch (const Error&) {  // whoever wants to know calls close()
  }
}

void TraceWriter::open(const fs::path& path, std::int64_t rank) {
  out_.open(path, std::ios::trunc);
  if (!out_) throw Error("cannot write the trace " + path.string(), "see that its folder exists and that there is space, or set no log.trace");
  path_ = path;
  rank_ = rank;
  const Json name{{"ph", "M"}, {"name", "process_name"}, {"pid", rank_}, {"args", {{"name", "rank " + std::to_string(rank_)}}}};
  out_ << "[\n" << dump_json(name);
  computing_[std::this_thread::get_id()] = 0;
  name_row(0, "computation");
  on_ = true;
}

void TraceWriter::close() {
  const std::lock_guard lock(mutex_);
  if (!on_.exchange(false)) return;
  out_ << "\n]\n";
  out_.close();
  if (!out_) throw Error("the trace " + path_.string() + " is not whole: not all of it could be written", "make space on its disk");
}

std::size_t TraceWriter::own_row() {
  const std::lock_guard lock(mutex_);
  const auto [found, is_new] = computing_.try_emplace(std::this_thread::get_id());
  if (!is_new) return found->second;
  taken_.push_back(true);
  found->second = taken_.size();
  if (on()) name_row(found->second, "computation beside it");
  return found->second;
}

TraceWriter::Exchange TraceWriter::begin(std::string name, std::int64_t bytes) {
  if (!on()) return {};
  const std::lock_guard lock(mutex_);
  const auto free = std::ranges::find(taken_, false);
  const std::size_t row = static_cast<std::size_t>(free - taken_.begin()) + 1;
  if (free == taken_.end()) {
    taken_.push_back(false);
    name_row(row, "exchanges " + std::to_string(row));
  }
  taken_[row - 1] = true;
  return {row, now_us(), std::move(name), bytes};
}

void TraceWriter::end(const Exchange& exchange) {
  if (exchange.row == 0) return;
  complete(exchange.row, exchange.name, exchange.begin_us, exchange.bytes);
  const std::lock_guard lock(mutex_);
  taken_[exchange.row - 1] = false;
}

void TraceWriter::complete(std::size_t row, std::string_view name, std::int64_t begin_us, std::optional<std::int64_t> bytes) {
  const std::int64_t end_us = now_us();
  Json event{{"ph", "X"}, {"name", name}, {"pid", rank_}, {"tid", row}, {"ts", begin_us}, {"dur", std::max<std::int64_t>(0, end_us - begin_us)}};
  if (bytes) event["args"] = {{"bytes_sent", *bytes}};
  const std::lock_guard lock(mutex_);
  if (!on()) return;
  write(dump_json(event));
  if (end_us - flushed_us_ < kFlushEvery_us) return;
  out_.flush();
  flushed_us_ = end_us;
}

void TraceWriter::write(const std::string& event) { out_ << ",\n" << event; }

void TraceWriter::name_row(std::size_t row, const std::string& name) {
  write(dump_json(Json{{"ph", "M"}, {"name", "thread_name"}, {"pid", rank_}, {"tid", row}, {"args", {{"name", name}}}}));
}

}  // namespace sluice::dist
