#include "sluice/cli/logits.h"

#include "sluice/base/error.h"
#include "sluice/base/output_file.h"
#include "sluice/checkpoint/step_folder.h"
#include "sluice/cli/model_flags.h"
#include "sluice/cli/ranks.h"
#include "sluice/generate/logits.h"

namespace sluice::cli {
namespace {

// Error when `output` is a file of the model that is read, by whatever path or link: its weights would be gone.
void require_outside(const fs::path& model, const fs::path& output) {
  std::error_code missing;  // what is wrong with either path is said where it is opened
  if (!fs::is_regular_file(output, missing)) return;
  const fs::path folder = checkpoint::follow_pointer(model);
  std::vector<fs::path> files{model};
  for (const auto& entry : fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied, missing)) files.push_back(entry.path());
  for (const fs::path& file : files) {
    if (!fs::is_regular_file(file, missing) || !fs::equivalent(file, output, missing)) continue;
    throw Error("--output " + output.string() + " is a file of the model, " + file.string() + ", which the logits would replace", "name a file outside " + folder.string());
  }
}

struct LogitsFlags {
  ModelFlags model;
  std::string tokens, output;
};

Parsed read_flags(const Arguments& arguments, LogitsFlags& flags) {
  CLI::App app("Writes the model's logits for given tokens: tensor `logits`, float32 [batch, sequence, vocab].", "sluice logits");
  flags.model.add_to(app);
  app.add_option("--tokens", flags.tokens, "JSON file [[ids], ...], rows of one length")->required();
  app.add_option("--output", flags.output, "The .safetensors file to write")->required();
  return parse(app, arguments);
}

// The file that --output names in the end: asked before a model is read, which takes minutes for a large one.
fs::path file_of(const LogitsFlags& flags) {
  require_outside(flags.model.folder(), flags.output);
  for (const fs::path& adapter : flags.model.adapter_folders()) require_outside(adapter, flags.output);
  require_other_file(flags.tokens, flags.output);
  return require_replaceable(flags.output);
}

int write(const Arguments& arguments, dist::Mesh& mesh, Log& log) {
  LogitsFlags flags;
  if (together(mesh, [&] { return read_flags(arguments, flags); }) == Parsed::kHelpShown) return 0;
  fs::path file;
  const generate::TokenRows rows = together(mesh, [&] {
    flags.model.scalar_type();
    if (mesh.leads()) file = file_of(flags);
    return generate::read_token_rows(flags.tokens);
  });
  const generate::LoadedModel loaded = flags.model.load(mesh);
  alike(mesh, [&] {
    if (mesh.leads()) generate::write_logits(loaded.runnable(), rows, file);
    else generate::for_each_logits(loaded.runnable(), rows, [](const at::Tensor&) {});
  });
  log.info("wrote logits [" + std::to_string(rows.size()) + ", " + std::to_string(rows[0].size()) + ", " +
           std::to_string(loaded.folder.config->vocab_size()) + "] to " + flags.output);
  return 0;
}

}  // namespace

int run_logits(const Arguments& arguments, Log& log) {
  return on_ranks(log, [&](dist::Mesh& mesh) { return write(arguments, mesh, log); });
}

}  // namespace sluice::cli
