// Seconds, by the clock and of processor time, to encode every text of a JSONL file, best of several runs, as one line of JSON:
// tokenizer_bench TOKENIZER FILE THREADS [RUNS]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <numeric>
#include <string>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/base/threads.h"
#include "sluice/text/tokenizer.h"

namespace {

int run(const char* tokenizer_path, const char* file, int threads, int runs) {
  const auto tokenizer = sluice::text::open_tokenizer(tokenizer_path);
  std::vector<std::string> texts;
  sluice::LineReader lines(file);
  for (std::string line; lines.next(line);) texts.push_back(sluice::parse_json(line, lines.where()).at("text"));
  std::vector<std::size_t> num_tokens(texts.size());
  double best = 1e30, best_cpu = 1e30;
  for (int i = 0; i < runs; ++i) {
    const std::clock_t cpu_start = std::clock();
    const auto start = std::chrono::steady_clock::now();
    sluice::for_each_index(static_cast<std::int64_t>(texts.size()), threads, [&](std::int64_t at) {
      const auto index = static_cast<std::size_t>(at);
      num_tokens[index] = tokenizer->encode(texts[index], sluice::text::SpecialTokens::kNone).size();
    });
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    best_cpu = std::min(best_cpu, static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC);
  }
  std::printf("{\"best_s\": %.6f, \"cpu_s\": %.6f, \"tokens\": %zu}\n", best, best_cpu,
              std::accumulate(num_tokens.begin(), num_tokens.end(), std::size_t{0}));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: tokenizer_bench TOKENIZER FILE THREADS [RUNS]\n", stderr);
    return 2;
  }
  try {
    return run(argv[1], argv[2], std::max(1, std::atoi(argv[3])), argc > 4 ? std::max(1, std::atoi(argv[4])) : 3);
  } catch (const sluice::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
