#include "sluice/convert/companions.h"

#include <algorithm>

#include "sluice/eval/routing_file.h"
#include "sluice/text/tokenizer.h"

namespace sluice::convert {
namespace {

// The source's config.json with what we know better: both styles of key, the type, no quantisation.
std::string config_text(const Source& source, checkpoint::DType dtype) {
  OrderedJson config = OrderedJson::parse(source.json.dump());
  const OrderedJson ours = source.config->write_hf(checkpoint::to_torch(dtype));
  for (const auto& [key, value] : ours.items()) {
    const bool habit = key == "output_router_logits" || key == "use_cache";  // says how transformers runs it, not what it is
    if (!habit || !config.contains(key)) config[key] = value;
  }
  config.erase("quantization_config");
  return config.dump(2) + "\n";
}

}  // namespace

void write_companions(const Source& source, checkpoint::DType dtype, const fs::path& to) {
  write_file_atomic(to / "config.json", config_text(source, dtype));
  std::vector<fs::path> files = text::tokenizer_files(source.path);
  for (const char* name : {"generation_config.json", eval::kRoutingFileName}) {
    if (fs::exists(source.path / name)) files.push_back(source.path / name);
  }
  for (const fs::path& file : files) write_file_atomic(to / file.filename(), read_file(file));
}

checkpoint::DType main_dtype(const Tensors& tensors) {
  const auto& table = tensors.source().table;
  const auto elements = [](const models::TensorSpec& spec) { return *checkpoint::tensor_bytes(checkpoint::DType::kU8, spec.parameter.shape); };
  return tensors.dtype(*std::ranges::max_element(table, {}, elements));
}

}  // namespace sluice::convert
