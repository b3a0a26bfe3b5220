#include "sluice/text/tokenizer.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/text/hf_tokenizer.h"
#include "sluice/text/sentencepiece_tokenizer.h"
#include "sluice/text/tekken_tokenizer.h"

namespace sluice::text {
namespace {

std::unique_ptr<Tokenizer> open_file(const fs::path& path) {
  const std::string name = path.filename().string();
  if (is_tekken_name(name)) return std::make_unique<TekkenTokenizer>(path);
  if (name.ends_with(".json") || name.ends_with(".json.gz")) return std::make_unique<HfTokenizer>(path);
  if (name.ends_with(".model")) return std::make_unique<SentencePieceTokenizer>(path);
  throw Error(path.string() + " is not named like a tokenizer",
              "give a tokenizer.json, a tekken.json (either may end in .gz too) or a tokenizer.model");
}

// The folder's tekken file, the first by name; empty when it has none.
fs::path tekken_in(const fs::path& folder) {
  fs::path first;
  if (!fs::is_directory(folder)) return first;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_tekken_name(entry.path().filename().string()) && (first.empty() || entry.path() < first)) first = entry.path();
  }
  return first;
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const fs::path& folder_or_file) {
  if (!fs::exists(folder_or_file)) {
    throw Error("there is no tokenizer at " + folder_or_file.string(),
                "give a folder with a tokenizer.json or tokenizer.model, or such a file");
  }
  if (!fs::is_directory(folder_or_file)) return open_file(folder_or_file);
  for (const char* name : {"tokenizer.json", "tokenizer.json.gz"}) {
    if (fs::exists(folder_or_file / name)) return open_file(folder_or_file / name);
  }
  if (const fs::path tekken = tekken_in(folder_or_file); !tekken.empty()) return open_file(tekken);
  if (fs::exists(folder_or_file / "tokenizer.model")) return open_file(folder_or_file / "tokenizer.model");
  throw Error("the folder " + folder_or_file.string() + " has no tokenizer.json, tekken.json or tokenizer.model",
              "copy the tokenizer's files there, or name the folder that has them");
}

std::vector<fs::path> tokenizer_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const char* name : {"added_tokens.json", "chat_template.jinja", "merges.txt", "special_tokens_map.json", "tokenizer.json",
                           "tokenizer.json.gz", "tokenizer.model", "tokenizer_config.json", "vocab.json"}) {
    if (fs::exists(folder / name)) files.push_back(folder / name);
  }
  if (const fs::path tekken = tekken_in(folder); !tekken.empty()) files.push_back(tekken);
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace sluice::text
