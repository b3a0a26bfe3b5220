#include "sluice/convert/companions.h"

#include <algorithm>

#include "sluice/eval/routing_file.h"
#include "sluice/models/carried_config.h"
#include "sluice/text/tokenizer.h"

namespace sluice::convert {

void write_companions(const Source& source, checkpoint::DType dtype, const fs::path& to) {
  write_file_atomic(to / "config.json", models::carried_config(source.json, *source.config, checkpoint::to_torch(dtype)).dump(2) + "\n");
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
