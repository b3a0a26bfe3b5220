#include "sluice/data/instruct/cache_key.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "sluice/base/sha256.h"
#include "sluice/config/fields.h"

namespace sluice::data {
namespace {

std::vector<fs::path> files_of(const fs::path& tokenizer) {
  const fs::path folder = fs::is_directory(tokenizer) ? tokenizer : tokenizer.parent_path();
  std::vector<fs::path> files = text::tokenizer_files(folder);
  if (!fs::is_directory(tokenizer)) files.push_back(tokenizer);
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder / "chat_templates", none)) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

// Of this program: another version may make other tokens of the same rows.
const std::string& program_hash() {
  static const std::string hash = content_hash("/proc/self/exe");
  return hash;
}

bool can_write(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  return !failed && access(folder.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

std::string cache_key(const fs::path& file, const DataConfig& config, const SampleMaker& maker, const fs::path& tokenizer) {
  Sha256 key;
  const auto add = [&](const std::string& name, const std::string& value) {
    key.add(name + "=" + std::to_string(value.size()) + ":" + value + "\n");
  };
  add("program", program_hash());
  add("data", content_hash(file));
  add("file type", file.extension().string());
  for (const fs::path& one : files_of(tokenizer)) add(one.filename().string(), content_hash(one));
  add("tokenizer", fs::is_directory(tokenizer) ? "" : tokenizer.filename().string());
  add("template", maker.format().source);
  add("format", config::format(config.format));
  add("seq_length", config::format(config.seq_length));
  for (const std::string& category : maker.categories().names()) add("category", category);
  InstructConfig settings = config.instruct;  // fields() visits what it may change
  config::for_each_leaf(settings, [&](const std::string& name, auto& field, const char*) {
    if (name != "cache_dir" && name != "length_buckets" && name != "custom_template") add(name, config::format(field));
  });
  return key.finish();
}

fs::path cache_folder(const std::string& cache_dir) {
  if (!cache_dir.empty()) {
    if (can_write(cache_dir)) return cache_dir;
    throw Error("data.cache_dir = " + cache_dir + " cannot be made or written", "name a folder of yours, or leave data.cache_dir out");
  }
  const char *xdg = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  const fs::path base = xdg && *xdg ? fs::path(xdg) : home && *home ? fs::path(home) / ".cache" : fs::path();
  if (!base.empty() && can_write(base / "sluice")) return base / "sluice";
  const fs::path temporary = fs::temp_directory_path() / ("sluice-" + std::to_string(getuid()));
  if (can_write(temporary)) return temporary;
  throw Error("there is no place for tokenised conversations: neither ~/.cache/sluice nor " + temporary.string() + " can be written",
              "name a folder of yours: data.cache_dir=DIR");
}

}  // namespace sluice::data
