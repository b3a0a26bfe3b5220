#include "sluice/cli/arguments.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"

namespace sluice::cli {

std::string flag_name(std::string written) {
  std::replace(written.begin(), written.end(), '_', '-');
  return written;
}

std::string framework_note(const std::string& name) {
  const std::vector<std::string> known{"megatron_bridge", "megatron", "torchtitan"};
  if (std::ranges::find(known, name) == known.end()) throw Error("--framework " + name + " is none that is known", "leave it out, or give " + join_or(known));
  return "--framework " + name + " changes nothing: Sluice does the work by itself";
}

std::vector<std::string> normalised(const std::vector<std::string>& arguments) {
  std::vector<std::string> out;
  for (const std::string& word : arguments) {
    const auto end = std::min(word.find('='), word.size());
    out.push_back(word.starts_with("--") ? flag_name(word.substr(0, end)) + word.substr(end) : word);
  }
  return out;
}

}  // namespace sluice::cli
