#include "sluice/cli/hub.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "sluice/base/error.h"

namespace sluice::cli {
namespace {

// ORGANISATION/NAME in the hub's characters, and not in a folder that is here: `runs/quikstart` is a misspelt path. No organisation can be
// called "models"; a folder often is.
bool may_be_hub_name(const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size() || text.find('/', slash + 1) != std::string::npos) return false;
  const std::string organisation = text.substr(0, slash);
  const auto allowed = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '/'; };
  const bool is_file = text.ends_with(".json") || text.ends_with(".gz") || text.ends_with(".model");
  return text[0] != '.' && organisation != "models" && !is_file && std::ranges::all_of(text, allowed) && !fs::is_directory(organisation);
}

fs::path hub_cache() {
  const auto variable = [](const char* name) { return std::string(std::getenv(name) ? std::getenv(name) : ""); };
  if (const std::string cache = variable("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const std::string home = variable("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) return fs::path(cache) / "huggingface" / "hub";
  return fs::path(variable("HOME")) / ".cache" / "huggingface" / "hub";
}

// The snapshot that branch main names; without such a branch the only snapshot there is. Empty when there is none.
fs::path snapshot_in(const fs::path& repository) {
  const fs::path main = repository / "refs" / "main", snapshots = repository / "snapshots";
  if (fs::is_regular_file(main)) {
    std::string commit = read_file(main);
    std::erase_if(commit, [](char c) { return std::isspace(static_cast<unsigned char>(c)); });
    if (!commit.empty() && fs::is_directory(snapshots / commit)) return snapshots / commit;
  }
  std::vector<fs::path> all;
  if (fs::is_directory(snapshots)) {
    for (const auto& entry : fs::directory_iterator(snapshots)) all.push_back(entry.path());
  }
  return all.size() == 1 ? all[0] : fs::path();
}

}  // namespace

fs::path find_model(const std::string& given) {
  if (given.empty() || fs::exists(given)) return given;
  if (!may_be_hub_name(given)) return fs::absolute(given);
  std::string repository = "models--" + given;
  repository.replace(repository.find('/'), 1, "--");
  const fs::path cache = hub_cache();
  if (const fs::path snapshot = snapshot_in(cache / repository); !snapshot.empty()) return snapshot;
  const std::string name = given.substr(given.find('/') + 1);
  throw Error("there is no folder " + given + " in " + fs::current_path().string() + ", and no model of that name in the Hugging Face cache " + cache.string(),
              "download the model first, for example `hf download " + given + " --local-dir " + name + "`, then give that folder: " + name);
}

}  // namespace sluice::cli
