// Models named as on the Hugging Face hub, "mistralai/Mixtral-8x7B-v0.1": found where HF's own tools have put them on this machine.
#pragma once
#include <string>

#include "sluice/base/file.h"

namespace sluice::cli {

// The folder or file that `given` means: itself where it exists. What is written like a hub name (ORGANISATION/NAME) is the snapshot of that
// name in HF's cache ($HF_HUB_CACHE, $HF_HOME/hub or ~/.cache/huggingface/hub), of branch main where that is known; Error, with the command
// that downloads it, when the cache has none: nothing is fetched from here. Any other path is made absolute, so that whoever finds nothing
// there can say where.
fs::path find_model(const std::string& given);

}  // namespace sluice::cli
