#include "sluice/cli/bench.h"

#include <algorithm>
#include <iostream>

#include "sluice/base/error.h"
#include "sluice/cli/bench_model.h"

namespace sluice::cli {

int run_bench(const Arguments& arguments, Log&) {
  if (std::ranges::find(arguments, "--help") != arguments.end()) {
    const std::string model = "[--json] [--dtype bfloat16|float32] [--hidden N --ffn N --layers N --experts N --topk N --vocab N --threads N]";
    std::cout << "usage: sluice bench train " << model << " [--seq N --batch N --steps N --recompute --lora RANK]\n"
              << "       sluice bench generate " << model << " [--prompt N --new N]\n";
    return 0;
  }
  if (!arguments.empty() && arguments[0] == "train") return bench_train(arguments);
  if (!arguments.empty() && arguments[0] == "generate") return bench_generate(arguments);
  throw Error("sluice bench takes `train` or `generate`", "sluice bench train --json");
}

}  // namespace sluice::cli
