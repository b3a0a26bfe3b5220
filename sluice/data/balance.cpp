#include "sluice/data/balance.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/output_file.h"
#include "sluice/base/rng.h"
#include "sluice/data/data_file.h"
#include "sluice/data/json_row.h"

namespace sluice::data {
namespace {

constexpr std::uint64_t kSampleStream = 0xba1a;

struct Place {
  std::int64_t offset;
  std::int64_t size;
};

CategoryCounts count_rows(const fs::path& input, const Categories& categories) {
  CategoryCounts counts(static_cast<std::size_t>(categories.size()));
  JsonRows rows(input, categories);
  while (rows.next()) ++counts[static_cast<std::size_t>(rows.require_category())];
  return counts;
}

// Where the chosen rows are: each row with the chance (still wanted) / (still to come) (Knuth, TAOCP 3.4.2, algorithm S).
std::vector<Place> choose_rows(const BalanceRequest& request, CategoryCounts wanted, CategoryCounts to_come) {
  std::vector<Place> chosen;
  Rng rng(request.seed, kSampleStream);
  JsonRows rows(request.input, request.categories);
  while (rows.next()) {
    const auto category = static_cast<std::size_t>(rows.require_category());
    SLUICE_CHECK(to_come[category] > 0, request.input.string() + " changed while it was read");
    const bool take = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(to_come[category]))) < wanted[category];
    --to_come[category];
    if (!take) continue;
    --wanted[category];
    chosen.push_back({rows.offset(), static_cast<std::int64_t>(rows.line().size())});
  }
  return chosen;
}

}  // namespace

CategoryCounts parse_category_counts(std::string_view text, const Categories& categories) {
  CategoryCounts counts(static_cast<std::size_t>(categories.size()));
  std::vector<bool> seen(counts.size());
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const std::size_t equals = item.find('=');
    const auto category = static_cast<std::size_t>(categories.require(item.substr(0, equals), "--counts"));
    const std::string_view number = equals == std::string_view::npos ? "" : item.substr(equals + 1);
    std::int64_t count = kAllRows;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), count);
    if (number != "all" && (error != std::errc() || end != number.data() + number.size() || count < 0)) {
      throw Error("--counts: " + std::string(item) + " has no number of rows",
                  "write a number or all, such as " + categories.names()[category] + "=2000");
    }
    if (seen[category]) throw Error("--counts names " + categories.names()[category] + " twice", "keep one of the two");
    seen[category] = true;
    counts[category] = number == "all" ? kAllRows : count;
  }
  return counts;
}

BalanceSummary balance(const BalanceRequest& request) {
  const DataFile readable_again(request.input);
  OutputFile output(request.output);
  BalanceSummary summary;
  SLUICE_CHECK(static_cast<int>(request.wanted.size()) == request.categories.size(), "a number of rows a category");
  summary.available = count_rows(request.input, request.categories);
  summary.written.resize(summary.available.size());
  std::int64_t total = 0;
  for (std::size_t k = 0; k < summary.written.size(); ++k) total += summary.written[k] = std::min(request.wanted[k], summary.available[k]);
  if (total == 0) {
    throw Error(request.input.string() + " has no row of the categories that --counts wants",
                "see what it has with `sluice data stats --input " + request.input.string() + "`");
  }
  const std::vector<Place> chosen = choose_rows(request, summary.written, summary.available);
  const FileDescriptor file(request.input, O_RDONLY);
  std::string line;
  for (const std::int64_t i : permutation(static_cast<std::int64_t>(chosen.size()), request.seed, 0)) {
    const Place& place = chosen[static_cast<std::size_t>(i)];
    line.resize(static_cast<std::size_t>(place.size));
    std::size_t done = 0;
    while (done < line.size()) {
      const ssize_t got = pread(file.get(), line.data() + done, line.size() - done, place.offset + static_cast<std::int64_t>(done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        throw Error("cannot read " + request.input.string() + " again: " + (got < 0 ? std::strerror(errno) : "it became shorter"),
                    "run this again when nothing writes to it");
      done += static_cast<std::size_t>(got);
    }
    output.write(line);
    output.write("\n");
  }
  output.commit();
  return summary;
}

}  // namespace sluice::data
