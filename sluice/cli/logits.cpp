#include "sluice/cli/logits.h"

#include "sluice/base/error.h"
#include "sluice/base/output_file.h"
#include "sluice/checkpoint/step_folder.h"
#include "sluice/cli/model_flags.h"
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

}  // namespace

int run_logits(const Arguments& arguments, Log& log) {
  CLI::App app("Writes the model's logits for given tokens: tensor `logits`, float32 [batch, sequence, vocab].", "sluice logits");
  ModelFlags model;
  std::string tokens, output;
  model.add_to(app);
  app.add_option("--tokens", tokens, "JSON file [[ids], ...], rows of one length")->required();
  app.add_option("--output", output, "The .safetensors file to write")->required();
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;

  const auto dtype = model.scalar_type();
  const fs::path folder = model.folder();
  require_outside(folder, output);
  for (const fs::path& adapter : model.adapter_folders()) require_outside(adapter, output);
  require_other_file(tokens, output);
  const generate::TokenRows rows = generate::read_token_rows(tokens);
  const fs::path file = require_replaceable(output);  // now: a large model takes minutes to load
  const generate::LoadedModel loaded = generate::open_model(folder, dtype, model.adapter_folders());
  generate::write_logits(loaded.runnable(), rows, file);
  log.info("wrote logits [" + std::to_string(rows.size()) + ", " + std::to_string(rows[0].size()) + ", " +
           std::to_string(loaded.folder.config->vocab_size()) + "] to " + output);
  return 0;
}

}  // namespace sluice::cli
