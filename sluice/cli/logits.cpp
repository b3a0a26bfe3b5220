#include "sluice/cli/logits.h"

#include "sluice/base/output_file.h"
#include "sluice/cli/model_flags.h"
#include "sluice/generate/logits.h"

namespace sluice::cli {

int run_logits(const Arguments& arguments, Log& log) {
  CLI::App app("Writes the model's logits for given tokens: tensor `logits`, float32 [batch, sequence, vocab].", "sluice logits");
  ModelFlags model;
  std::string tokens, output;
  model.add_to(app);
  app.add_option("--tokens", tokens, "JSON file [[ids], ...], rows of one length")->required();
  app.add_option("--output", output, "The .safetensors file to write")->required();
  if (parse(app, arguments) == Parsed::kHelpShown) return 0;

  const auto dtype = model.scalar_type();
  const generate::TokenRows rows = generate::read_token_rows(tokens);
  const fs::path file = require_replaceable(output);  // now: a large model takes minutes to load
  const generate::LoadedModel loaded = generate::open_model(model.folder(), dtype);
  generate::write_logits(loaded.runnable(), rows, file);
  log.info("wrote logits [" + std::to_string(rows.size()) + ", " + std::to_string(rows[0].size()) + ", " +
           std::to_string(loaded.folder.config->vocab_size()) + "] to " + output);
  return 0;
}

}  // namespace sluice::cli
