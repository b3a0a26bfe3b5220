#include "sluice/train/export_final.h"

#include "sluice/checkpoint/model_io.h"
#include "sluice/checkpoint/weight_reader.h"
#include "sluice/models/export_note.h"

namespace sluice::train {
namespace {

using Merged = std::vector<models::MergedWeight>;

void warn_of_losses(const Session& session, const Merged& merged, Log& log) {
  const std::string warning = models::rounding_warning(merged, std::string(checkpoint::dtype_name(session.export_dtype)));
  if (!warning.empty()) log.warning(session.resolved.recipe.export_folder().string() + ": " + warning);
}

// Adds what the adapter says into `value`, the whole weight.
void merge_into(const at::Tensor& value, const models::TensorSpec& spec, const checkpoint::Adapter& adapter, at::ScalarType written, Merged& merged) {
  checkpoint::Adapter own;
  for (std::size_t i = 0; i < adapter.targets.size(); ++i) {
    if (adapter.targets[i].parameter != spec.parameter.name) continue;
    own.targets.push_back(adapter.targets[i]);
    own.a.push_back(adapter.a[i]);
    own.b.push_back(adapter.b[i]);
  }
  if (own.targets.empty()) return;
  auto specs = models::parameter_specs(own.targets);
  specs.push_back(spec.parameter);
  nn::ParameterStore store(specs);
  checkpoint::allocate_for_inference(store, at::kFloat);
  store.at(spec.parameter.name).value = value;
  checkpoint::load_adapter(own, store);
  models::attach(store, own.targets, nullptr);
  const Merged here = models::merge(store, own.targets, written);
  merged.insert(merged.end(), here.begin(), here.end());
}

// Of a model that the ranks have in parts: each weight is read again, of adapters the base model's.
Merged export_from_files(const Session& session, const fs::path& step_folder, const std::function<void(const checkpoint::WholeTensors& values)>& write) {
  const bool adapts = !session.adapters.empty();
  const auto saved = checkpoint::open_model_folder(adapts ? session.base_folder : step_folder);
  const auto weights = checkpoint::open_weights(saved, session.table);
  const checkpoint::Adapter adapter = adapts ? checkpoint::read_adapter(step_folder, session.table) : checkpoint::Adapter{};
  Merged merged;
  write([&](const models::TensorSpec& spec) {
    const at::Tensor value = at::empty(spec.parameter.shape, at::kFloat);
    weights->read(spec, value);
    merge_into(value, spec, adapter, checkpoint::to_torch(session.export_dtype), merged);
    return value;
  });
  return merged;
}

Merged export_weights(const Session& session, const fs::path& step_folder, const fs::path& to) {
  const auto write = [&](const checkpoint::WholeTensors& values) { checkpoint::export_hf(to, *session.resolved.model_config, session.table, values, session.export_dtype, std::nullopt); };
  if (!session.model_is_whole()) return export_from_files(session, step_folder, write);
  const Merged merged = models::merge(*session.store, session.adapters, checkpoint::to_torch(session.export_dtype));
  write([&](const models::TensorSpec& spec) { return checkpoint::exact_value(session.store->at(spec.parameter.name)); });
  return merged;
}

}  // namespace

void export_final(const Session& session, const fs::path& step_folder, Log& log) {
  const fs::path to = session.resolved.recipe.export_folder();
  warn_of_losses(session, export_weights(session, step_folder, to), log);
  session.write_companions(to);
  if (const std::string note = models::export_note(*session.resolved.model_config); !note.empty()) log.note(to.string() + ": " + note);
}

}  // namespace sluice::train
