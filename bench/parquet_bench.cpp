// parquet_bench FILE [REPEATS]: processor seconds to read every row of a Parquet file as training reads it, the best of so many.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "sluice/data/instruct/rows.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: parquet_bench FILE [REPEATS]\n");
    return 2;
  }
  double best = 1e30;
  std::int64_t rows = 0;
  for (int repeat = 0; repeat < (argc > 2 ? std::atoi(argv[2]) : 5); ++repeat) {
    const std::clock_t begin = std::clock();
    const auto source = sluice::data::open_rows(argv[1]);
    sluice::OrderedJson row;
    for (rows = 0; source->next(row); ++rows) {
    }
    best = std::min(best, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  std::printf("{\"rows\": %lld, \"seconds\": %.4f}\n", static_cast<long long>(rows), best);
}
