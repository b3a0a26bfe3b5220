#include "sluice/cli/arguments.h"

#include <algorithm>

namespace sluice::cli {

std::string flag_name(std::string written) {
  std::replace(written.begin(), written.end(), '_', '-');
  return written;
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
