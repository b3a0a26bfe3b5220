// From one layout of a model's weights to another, tensor by tensor.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "sluice/base/file.h"
#include "sluice/base/log.h"
#include "sluice/checkpoint/dtype.h"
#include "sluice/convert/layout.h"

namespace sluice::convert {

enum class Format { kHf, kNative, kTorchDist };
constexpr std::array<std::string_view, 3> names(Format) { return {"hf", "native", "torch_dist"}; }

enum class OptimizerState { kKept, kDropped };

// How the result is compared with its source: not at all, by the logits of both, or only that, of folders that are there already.
enum class Check { kNone, kLogits, kOnly };
constexpr std::array<std::string_view, 3> names(Check) { return {"none", "logits", "only"}; }

struct Options {
  fs::path from, to;
  std::optional<fs::path> hf_config;  // folder or file with the config.json of a Megatron checkpoint that has none
  std::optional<Format> format;       // default: native from HF and Megatron, HF from native
  std::optional<checkpoint::DType> dtype;  // default: each tensor's own
  Layout layout;
  OptimizerState optimizer_state = OptimizerState::kKept;
  std::optional<Check> check;  // default: logits where both models fit into memory one after the other
};

// Converts options.from into the new folder options.to. Anonymous memory stays under twice the largest tensor and 200 MB; the folder gets
// its name when it is whole, and a second attempt of a killed conversion goes on with the files that are complete (output_folder.h).
// Error, before anything is written, when the source is not exactly the model that its config.json describes, when the disk is too
// full, or when a setting has no meaning here; after it, when the check fails: the result then keeps the name TO.rejected.
void convert(const Options& options, Log& log);

}  // namespace sluice::convert
