#include "sluice/convert/convert.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/checkpoint/manifest.h"
#include "sluice/convert/companions.h"
#include "sluice/convert/output_folder.h"
#include "sluice/convert/source.h"
#include "sluice/convert/verify.h"
#include "sluice/convert/writers.h"
#include "sluice/models/export_note.h"

namespace sluice::convert {
namespace {

Format default_format(const Source& source) { return source.kind == Source::Kind::kNative ? Format::kHf : Format::kNative; }

bool keeps_trainer(const Options& options, const Source& source, Format format) {
  return source.kind == Source::Kind::kNative && format == Format::kNative && options.optimizer_state == OptimizerState::kKept && fs::is_directory(source.path / "trainer");
}

// Enough to tell one conversion from another: a file of the source that changed, or another setting, starts anew.
OrderedJson plan_of(const Options& options, const Source& source, Format format) {
  OrderedJson files = OrderedJson::object();
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(source.path)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  for (const fs::path& path : paths) {
    files[path.lexically_relative(source.path).string()] = {fs::file_size(path), fs::last_write_time(path).time_since_epoch().count()};
  }
  const Layout& layout = options.layout;
  return {{"from", fs::canonical(source.path).string()},
          {"format", names(Format{})[static_cast<std::size_t>(format)]},
          {"dtype", options.dtype ? OrderedJson(checkpoint::dtype_name(*options.dtype)) : OrderedJson(nullptr)},
          {"layout", {layout.tensor_parallel, layout.pipeline_parallel, layout.expert_parallel, layout.num_shards}},
          {"trainer", keeps_trainer(options, source, format)},
          {"files", files}};
}

// Whether `path` is `folder` or lies in it.
bool lies_in(const fs::path& path, const fs::path& folder) {
  const fs::path inside = fs::weakly_canonical(path).lexically_relative(fs::weakly_canonical(folder));
  return !inside.empty() && *inside.begin() != "..";
}

// Adds the tensors whose numbers are of a type that nothing is computed with.
void check_types(const Source& source, Violations& violations) {
  using checkpoint::DType;
  for (const models::TensorSpec& spec : source.table) {
    for (const models::HfPart& part : spec.hf) {
      const DType type = source.reader->dtype({&spec, &part});
      if (type == DType::kF32 || type == DType::kBF16 || type == DType::kF16 || type == DType::kF64) continue;
      violations.add(part.name + " is of type " + std::string(checkpoint::dtype_name(type)) + ", which no weight has", "save it as F32, BF16 or F16 with the program that made it");
    }
  }
}

void require_meaningful(const Options& options, const Source& source, Format format) {
  Violations violations;
  if (lies_in(options.to, source.path)) violations.add("--to " + options.to.string() + " is --from " + source.path.string() + " or lies in it", "give a folder beside it");
  check_types(source, violations);
  if (format == Format::kTorchDist) {
    try {
      require_torch_dist(source);
    } catch (const Error& error) {
      violations.add(error);
    }
  }
  if (format == Format::kNative) options.layout.check(source.table, violations);
  else if (!options.layout.is_plain() || options.layout.num_shards != 0) {
    violations.add("parallel sizes and --shards have no effect on format " + std::string(names(Format{})[static_cast<std::size_t>(format)]), "leave them out, or use --format native");
  }
  if (options.optimizer_state == OptimizerState::kDropped && !fs::is_directory(source.path / "trainer")) {
    violations.add("--no-save-optim has no effect: " + source.path.string() + " has no optimizer state", "leave it out");
  }
  violations.raise("cannot convert");
}

void write(const Options& options, Source& source, Format format, Log& log) {
  Tensors tensors(source, options.dtype);
  const bool trainer = keeps_trainer(options, source, format);
  const std::uint64_t bytes = num_bytes(tensors) + (trainer ? bytes_in(source.path / "trainer") : 0);
  OutputFolder out(options.to, plan_of(options, source, format), bytes, log);
  Progress progress("converting", bytes, log);
  switch (format) {
    case Format::kHf: write_hf(tensors, out, progress); break;
    case Format::kNative: write_native(tensors, options.layout, out, progress); break;
    case Format::kTorchDist: write_torch_dist(tensors, out, progress); break;
  }
  if (trainer) write_trainer(tensors, options.layout, out, progress);
  write_companions(source, main_dtype(tensors), out.path());
  progress.finish();
  if (format == Format::kNative) {
    fs::remove(out.path() / "plan.json");  // no part of the checkpoint that the manifest describes
    checkpoint::write_manifest(out.path(), nullptr);
  }
  out.commit();
}

}  // namespace

void convert(const Options& options, Log& log) {
  Source source = open_source(options.from, options.hf_config);
  const Format format = options.format.value_or(default_format(source));
  if (options.check == Check::kOnly) return verify(source, options.to, Gate::kOn, log);
  require_meaningful(options, source, format);
  write(options, source, format, log);
  if (const std::string note = models::export_note(*source.config); format == Format::kHf && !note.empty()) log.note(note);
  log.info("wrote " + options.to.string() + " (" + std::string(names(Format{})[static_cast<std::size_t>(format)]) + ")");

  const bool same_type = !options.dtype.has_value();
  if (options.check == Check::kNone) return;
  if (!options.check && !fits_in_memory(source)) {
    log.note("logits were not compared: the model does not fit into memory in float32; --verify logits asks for it all the same");
    return;
  }
  try {
    verify(source, options.to, same_type ? Gate::kOn : Gate::kOff, log);
  } catch (const Error&) {
    const fs::path rejected = options.to.string() + ".rejected";
    fs::remove_all(rejected);
    fs::rename(options.to, rejected);
    throw;
  }
}

}  // namespace sluice::convert
