#include "sluice/dist/trace.h"

#include <ATen/ATen.h>

#include <map>

#include "ranks.h"
#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/dist/gloo.h"
#include "sluice/dist/observers.h"

namespace sluice::dist {
namespace {

fs::path trace_file(const std::string& name) { return fs::path(testing::TempDir()) / (name + ".json"); }

// The events of a closed trace that took time, by row. Every event has what the Trace Event Format asks for.
std::map<std::int64_t, std::vector<Json>> events_of(const fs::path& path) {
  std::map<std::int64_t, std::vector<Json>> rows;
  for (const Json& event : parse_json(read_file(path), path.string())) {
    EXPECT_TRUE(event.at("name").is_string() && event.at("pid").is_number_integer()) << event;
    if (event.at("ph") == "X") rows[event.at("tid")].push_back(event);
    else EXPECT_EQ(event.at("ph"), "M") << event;
  }
  return rows;
}

// Of two events of a row one lies within the other, or they share no time.
void expect_nesting(const std::vector<Json>& events) {
  for (const Json& a : events) {
    for (const Json& b : events) {
      const std::int64_t a_end = a.at("ts").get<std::int64_t>() + a.at("dur").get<std::int64_t>(), b_end = b.at("ts").get<std::int64_t>() + b.at("dur").get<std::int64_t>();
      const bool apart = a_end <= b.at("ts") || b_end <= a.at("ts");
      const bool a_in_b = a.at("ts") >= b.at("ts") && a_end <= b_end, b_in_a = b.at("ts") >= a.at("ts") && b_end <= a_end;
      EXPECT_TRUE(apart || a_in_b || b_in_a) << a << " " << b;
    }
  }
}

TEST(Trace, SpansNest) {
  const fs::path path = trace_file("spans");
  TraceWriter trace;
  trace.open(path, 3);
  {
    const TraceWriter::Span step(trace, "step");
    { const TraceWriter::Span forward(trace, "forward"); }
    { const TraceWriter::Span backward(trace, "backward"); }
  }
  trace.close();
  const auto rows = events_of(path);
  ASSERT_EQ(rows.at(0).size(), 3u);
  expect_nesting(rows.at(0));
  EXPECT_EQ(rows.at(0)[2].at("name"), "step") << "an event is written when it ends";
  EXPECT_EQ(rows.at(0)[2].at("pid"), 3);
}

TEST(Trace, EachThreadHasARowOfItsOwn) {
  const fs::path path = trace_file("threads");
  TraceWriter trace;
  trace.open(path, 0);
  const auto exchange = trace.begin("all-to-all experts", 8);
  {
    const TraceWriter::Span forward(trace, "forward");
    std::thread([&] { const TraceWriter::Span backward(trace, "backward"); }).join();
  }
  trace.end(exchange);
  trace.close();
  const auto rows = events_of(path);
  EXPECT_EQ(rows.at(0)[0].at("name"), "forward");
  EXPECT_EQ(rows.at(1)[0].at("name"), "all-to-all experts");
  EXPECT_EQ(rows.at(2)[0].at("name"), "backward");
}

TEST(Trace, ExchangesAtTheSameTimeHaveRowsOfTheirOwn) {
  const fs::path path = trace_file("exchanges");
  TraceWriter trace;
  trace.open(path, 0);
  const auto first = trace.begin("all-reduce world", 8), second = trace.begin("all-gather tensor", 16);
  trace.end(first);
  const auto third = trace.begin("send pipeline", 24);
  trace.end(third);
  trace.end(second);
  trace.close();
  const auto rows = events_of(path);
  ASSERT_EQ(rows.at(1).size(), 2u);
  EXPECT_EQ(rows.at(1)[0].at("name"), "all-reduce world");
  EXPECT_EQ(rows.at(1)[1].at("name"), "send pipeline");
  EXPECT_EQ(rows.at(2)[0].at("args").at("bytes_sent"), 16);
}

TEST(Trace, HasEveryExchangeOfARank) {
  run_ranks(2, [](const Rendezvous& here) {
    const Meeting meeting(here, std::chrono::seconds(20));
    const auto world = meeting.group("world", {0, 1}, std::chrono::seconds(20));
    TraceWriter& trace = meeting.observers()->trace;
    const fs::path path = trace_file("rank" + std::to_string(here.rank));
    trace.open(path, here.rank);
    {
      const TraceWriter::Span step(trace, "step");
      std::vector<std::unique_ptr<Pending>> pending;
      for (int i = 0; i < 4; ++i) pending.push_back(world->start_all_reduce(at::zeros({100000}), Reduce::kSum));
      for (const auto& one : pending) one->wait();
      const auto receives = world->start_receive(at::zeros({1}), 1 - here.rank), sends = world->start_send(at::zeros({1}), 1 - here.rank);
      receives->wait();
      sends->wait();
    }
    world->barrier();
    trace.close();
    std::map<std::string, int> counts;
    for (const auto& [row, events] : events_of(path)) {
      expect_nesting(events);
      for (const Json& event : events) ++counts[event.at("name")];
    }
    EXPECT_EQ(counts, (std::map<std::string, int>{{"all-reduce world", 4}, {"send world", 1}, {"receive world", 1}, {"barrier world", 1}, {"step", 1}, {"waiting", 7}}));
  });
}

TEST(Trace, IsNothingWhileNoFileIsOpen) {
  TraceWriter trace;
  { const TraceWriter::Span step(trace, "step"); }
  trace.end(trace.begin("all-reduce world", 8));
  trace.close();
  EXPECT_THROW(trace.open(fs::path(testing::TempDir()) / "no such folder" / "trace.json", 0), Error);
  EXPECT_FALSE(trace.on());
}

// A killed run's trace has no end: chrome://tracing and Perfetto read it without.
TEST(Trace, OfAKilledRunLacksOnlyItsClosingBracket) {
  const fs::path path = trace_file("killed");
  const auto ends = ends_of_ranks(1, [&](const Rendezvous&) {
    TraceWriter trace;
    trace.open(path, 0);
    { const TraceWriter::Span step(trace, "step"); }
    raise(SIGKILL);
  });
  EXPECT_TRUE(ends[0].by(SIGKILL));
  EXPECT_NO_THROW(parse_json(read_file(path) + "\n]", "the trace")) << read_file(path);
}

TEST(Trace, SaysWhenTheDiskIsFull) {
  TraceWriter trace;
  trace.open("/dev/full", 0);
  { const TraceWriter::Span step(trace, "step"); }
  EXPECT_THROW(trace.close(), Error);
}

}  // namespace
}  // namespace sluice::dist
