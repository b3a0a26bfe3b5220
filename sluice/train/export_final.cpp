#include "sluice/train/export_final.h"

#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/weight_reader.h"
#include "sluice/models/export_note.h"

namespace sluice::train {
namespace {

void merge_adapters(const Session& session, Log& log) {
  const auto merged = models::merge(*session.store, session.adapters, checkpoint::to_torch(session.export_dtype));
  const std::string warning = models::rounding_warning(merged, std::string(checkpoint::dtype_name(session.export_dtype)));
  if (!warning.empty()) log.warning(session.resolved.recipe.export_folder().string() + ": " + warning);
}

void export_weights(const Session& session, const fs::path& step_folder, const fs::path& to) {
  const auto write = [&](const checkpoint::WholeTensors& values) { checkpoint::export_hf(to, *session.resolved.model_config, session.table, values, session.export_dtype, std::nullopt); };
  if (session.model_is_whole()) return write([&](const models::TensorSpec& spec) { return checkpoint::exact_value(session.store->at(spec.parameter.name)); });
  const auto saved = checkpoint::open_model_folder(step_folder);
  const auto weights = checkpoint::open_weights(saved, session.table);
  write([&](const models::TensorSpec& spec) {
    const at::Tensor value = at::empty(spec.parameter.shape, at::kFloat);
    weights->read(spec, value);
    return value;
  });
}

}  // namespace

void export_final(const Session& session, const fs::path& step_folder, Log& log) {
  if (!session.adapters.empty()) merge_adapters(session, log);
  const fs::path to = session.resolved.recipe.export_folder();
  export_weights(session, step_folder, to);
  session.write_companions(to);
  if (const std::string note = models::export_note(*session.resolved.model_config); !note.empty()) log.note(to.string() + ": " + note);
}

}  // namespace sluice::train
