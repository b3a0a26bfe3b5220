#include "sluice/convert/source.h"

#include "sluice/base/error.h"
#include "sluice/checkpoint/megatron_ranks.h"

namespace sluice::convert {
namespace {

fs::path config_beside(const fs::path& folder, const std::optional<fs::path>& given) {
  if (given) return fs::is_directory(*given) ? *given / "config.json" : *given;
  for (const fs::path& candidate : {folder / "config.json", checkpoint::latest_megatron_iteration(folder) / "config.json"}) {
    if (fs::exists(candidate)) return candidate;
  }
  throw Error(folder.string() + " is a Megatron checkpoint without config.json", "add --hf-config DIR, a folder with the config.json of the model in Hugging Face's layout");
}

Source open_megatron(const fs::path& path, const std::optional<fs::path>& hf_config) {
  Source source;
  const fs::path file = config_beside(path, hf_config);
  source.path = path;
  source.kind = Source::Kind::kMegatron;
  source.json = parse_json(read_file(file), file.string());
  if (!source.json.is_object() || !source.json.contains("model_type") || !source.json["model_type"].is_string()) {
    throw Error(file.string() + " has no model_type", "take config.json again from where the model came from");
  }
  source.config = models::find_architecture(source.json["model_type"].get<std::string>(), file.string()).make_config();
  source.config->read_hf(source.json, file.string());
  source.config->fit_to_checkpoint([](const std::string&) { return false; });
  Violations violations;
  source.config->check(violations);
  violations.raise(file.string());
  source.table = source.config->tensor_table();
  source.reader = open_megatron_reader(path, source.json, source.table);
  return source;
}

}  // namespace

Source open_source(const fs::path& path, const std::optional<fs::path>& hf_config) {
  if (is_megatron_folder(path)) return open_megatron(path, hf_config);
  if (hf_config) throw Error("--hf-config has no effect: " + path.string() + " is no Megatron checkpoint", "leave it out; the folder's own config.json is used");
  checkpoint::ModelFolder folder = checkpoint::open_model_folder(path);
  Source source;
  source.path = folder.path;
  source.kind = folder.kind == checkpoint::FolderKind::kHf ? Source::Kind::kHf : Source::Kind::kNative;
  const std::string where = (folder.path / "config.json").string();
  source.json = parse_json(read_file(where), where);
  source.table = folder.config->tensor_table();
  source.reader = source.kind == Source::Kind::kHf ? open_hf_reader(folder, source.table) : open_native_reader(folder, source.table);
  source.config = std::move(folder.config);
  return source;
}

}  // namespace sluice::convert
