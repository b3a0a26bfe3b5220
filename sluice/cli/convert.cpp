#include "sluice/cli/convert.h"

#include "sluice/base/error.h"
#include "sluice/cli/arguments.h"
#include "sluice/cli/hub.h"
#include "sluice/cli/model_flags.h"
#include "sluice/cli/parse.h"
#include "sluice/cli/ranks.h"
#include "sluice/config/value.h"
#include "sluice/convert/convert.h"

namespace sluice::cli {
namespace {

// Flags of the converters that people have scripts for; each means one of ours.
struct OtherFlags {
  std::string hf_model_path, output_path, load, hf_save_path, fp8, bf16, framework;
  bool convert_to_hf = false, cpu_initialization = false;
};

struct ConvertFlags {
  std::string from, to, format, dtype, hf_config, verify;
  convert::Layout layout;
  bool no_save_optim = false;
  OtherFlags other;
};

void declare(CLI::App& app, ConvertFlags& flags) {
  app.add_option("--from", flags.from, "Folder with a model: Hugging Face's, a run or step folder, or Megatron's (torch_dist, mp_rank_*)");
  app.add_option("--to", flags.to, "New folder for the result");
  app.add_option("--format", flags.format, "hf, native or torch_dist (Megatron); default: native, and hf from a native folder");
  app.add_option("--dtype", flags.dtype, "bf16, fp32 or fp16; default: the type of each tensor");
  app.add_option("--tensor-model-parallel-size", flags.layout.tensor_parallel, "Native shards as so many tensor-parallel ranks write them")->check(whole_number(1));
  app.add_option("--pipeline-model-parallel-size", flags.layout.pipeline_parallel, "The same for pipeline stages")->check(whole_number(1));
  app.add_option("--expert-model-parallel-size", flags.layout.expert_parallel, "The same for expert-parallel ranks")->check(whole_number(1));
  app.add_option("--shards", flags.layout.num_shards, "Native shards of about equal size; default: as many as keep each below 5 GB")->check(whole_number(1));
  app.add_flag("--no-save-optim", flags.no_save_optim, "Leave out the optimizer's state of a step folder");
  app.add_option("--hf-config", flags.hf_config, "config.json, or a folder with it, of a Megatron checkpoint that has none");
  app.add_option("--verify", flags.verify, "logits: compare source and result by their logits (default where the model fits into memory); none; only: compare two folders that are there");
  OtherFlags& other = flags.other;
  app.add_option("--hf-model-path", other.hf_model_path, "The same as --from");
  app.add_option("--output-path", other.output_path, "The same as --to");
  app.add_option("--load", other.load, "The same as --from");
  app.add_option("--hf-save-path", other.hf_save_path, "The same as --to with --format hf");
  app.add_flag("--convert-to-hf", other.convert_to_hf, "The same as --format hf");
  app.add_option("--input-fp8-hf-path", other.fp8, "The same as --from");
  app.add_option("--output-bf16-hf-path", other.bf16, "The same as --to with --format hf --dtype bf16");
  app.add_option("--framework", other.framework, "Taken from Primus's command lines (megatron_bridge, megatron, torchtitan); changes nothing, and says so");
  app.add_flag("--use-cpu-initialization", other.cpu_initialization, "Accepted: nothing is ever initialised on another device");
}

// The one of several spellings that was given; Error for none and for two.
std::string one_of(const std::vector<std::pair<std::string, std::string>>& given, const std::string& flag, const std::string& what) {
  std::string value, by;
  for (const auto& [name, text] : given) {
    if (text.empty()) continue;
    if (!by.empty()) throw Error(by + " and " + name + " both say " + what, "give one of them");
    value = text;
    by = name;
  }
  if (by.empty()) throw Error("nothing says " + what, "add " + flag + " DIR");
  return value;
}

template <class E>
std::optional<E> named(const std::string& flag, const std::string& text) {
  if (text.empty()) return std::nullopt;
  E value{};
  if (const std::string expected = config::parse_scalar(text, value); !expected.empty()) throw Error(flag + " '" + text + "' is not " + expected, "give one of these");
  return value;
}

convert::Options options_of(ConvertFlags& flags) {
  const OtherFlags& other = flags.other;
  convert::Options options;
  options.from = find_model(one_of({{"--from", flags.from}, {"--hf-model-path", other.hf_model_path}, {"--load", other.load}, {"--input-fp8-hf-path", other.fp8}}, "--from", "what to convert"));
  options.to = one_of({{"--to", flags.to}, {"--output-path", other.output_path}, {"--hf-save-path", other.hf_save_path}, {"--output-bf16-hf-path", other.bf16}}, "--to", "where the result goes");
  const bool to_hf = !other.hf_save_path.empty() || other.convert_to_hf || !other.bf16.empty();
  options.format = named<convert::Format>("--format", flags.format);
  if (to_hf && options.format.value_or(convert::Format::kHf) != convert::Format::kHf) throw Error("--format " + flags.format + " contradicts a flag that asks for hf", "leave one of them out");
  if (to_hf) options.format = convert::Format::kHf;
  options.dtype = file_type(!other.bf16.empty() && flags.dtype.empty() ? "bf16" : flags.dtype);
  if (!flags.hf_config.empty()) options.hf_config = flags.hf_config;
  options.layout = flags.layout;
  options.optimizer_state = flags.no_save_optim ? convert::OptimizerState::kDropped : convert::OptimizerState::kKept;
  options.check = named<convert::Check>("--verify", flags.verify);
  return options;
}

int convert_here(const Arguments& arguments, Log& log) {
  CLI::App app("Converts a model's weights between layouts and types; every tensor is used and written exactly once.", "sluice convert");
  ConvertFlags flags;
  declare(app, flags);
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;
  if (!flags.other.framework.empty()) log.note(framework_note(flags.other.framework));
  convert::convert(options_of(flags), log);
  return 0;
}

}  // namespace

int run_convert(const Arguments& arguments, Log& log) {
  // One rank converts, tensor by tensor; the others end when it does, as it does.
  return on_ranks(log, [&](dist::Mesh& mesh) { return together(mesh, [&] { return mesh.leads() ? convert_here(arguments, log) : 0; }); });
}

}  // namespace sluice::cli
