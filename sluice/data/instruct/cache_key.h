// The name of a file's conversations as tokens: equal where nothing that they depend on differs.
#pragma once
#include <string>

#include "sluice/data/config.h"
#include "sluice/data/instruct/samples.h"

namespace sluice::data {

// 64 hexadecimal digits, of the bytes of `file` and of the tokenizer's files, the template, each setting of `config` that matters, and this
// program's own bytes: another version may read or tokenise otherwise.
std::string cache_key(const fs::path& file, const DataConfig& config, const SampleMaker& maker, const fs::path& tokenizer);

// Where caches are: data.cache_dir, made if need be (Error where it cannot be). By default $XDG_CACHE_HOME/sluice or ~/.cache/sluice, and
// where that cannot be written a folder of this user's among the temporary files.
fs::path cache_folder(const std::string& cache_dir);

}  // namespace sluice::data
