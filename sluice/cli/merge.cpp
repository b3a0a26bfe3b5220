#include "sluice/cli/merge.h"

#include <cmath>
#include <cstdio>
#include <iostream>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/checkpoint/adapter.h"
#include "sluice/checkpoint/model_io.h"
#include "sluice/cli/hub.h"
#include "sluice/cli/model_flags.h"
#include "sluice/cli/parse.h"
#include "sluice/convert/merge.h"

namespace sluice::cli {
namespace {

struct MergeFlags {
  std::string model, to, dtype;
  std::vector<std::string> adapters;
  bool json = false;
};

// The base model: the one that is given, else the one that the adapter names.
fs::path base_model(const MergeFlags& flags) {
  if (!flags.model.empty()) return find_model(flags.model);
  const fs::path adapter = checkpoint::resolve_model_folder(flags.adapters[0]);
  const std::string base = checkpoint::base_model_of(adapter);
  if (base.empty()) throw Error(adapter.string() + " does not name its base model", "give it with --model");
  return find_model(base);
}

void print(const std::vector<convert::Added>& added, bool json) {
  for (const convert::Added& one : added) {
    if (json) {
      std::cout << dump_json(OrderedJson{{"tensor", one.tensor}, {"added", one.change}, {"computed", one.computed}, {"weight", one.weight}}) << "\n";
      continue;
    }
    char line[96], computed[96] = "";
    std::snprintf(line, sizeof line, "%12.6g added to %12.6g (%.2e)  ", one.change, one.weight, one.weight > 0 ? one.change / one.weight : 0);
    const bool differs = std::abs(one.change - one.computed) > one.computed / 2;
    if (differs) std::snprintf(computed, sizeof computed, "  rounded: the adapters add %.6g", one.computed);
    std::cout << line << one.tensor << (one.computed > 0 ? computed : "  nothing: the adapter is zero") << "\n";
  }
}

}  // namespace

int run_merge(const Arguments& arguments, Log& log) {
  CLI::App app("Adds LoRA adapters into the weights of their base model, and says for each tensor, of every expert, how much of it arrived in the written type (Euclidean norms).", "sluice merge");
  MergeFlags flags;
  app.add_option("--model,--hf-model-path", flags.model, "Folder of the base model; default: the one that the adapter names");
  app.add_option("--adapter", flags.adapters, "The adapter: a PEFT folder, or a run that trained one; may be repeated")->required();
  app.add_option("--to,--output-path", flags.to, "New folder for the merged model, in Hugging Face's layout")->required();
  app.add_option("--dtype", flags.dtype, "bf16, fp32 or fp16; default: the type of each tensor");
  app.add_flag("--json", flags.json, "One JSON object a tensor");
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  convert::MergeOptions options{base_model(flags), flags.to, {flags.adapters.begin(), flags.adapters.end()}, file_type(flags.dtype)};
  print(convert::merge(options, log), flags.json);
  return 0;
}

}  // namespace sluice::cli
