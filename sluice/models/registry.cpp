#include "sluice/models/registry.h"

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/models/mixtral/mixtral.h"

namespace sluice::models {

const std::vector<Architecture>& architectures() {
  static const std::vector<Architecture> all{mixtral()};
  return all;
}

const Architecture& find_architecture(const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const Architecture& architecture : architectures()) {
    if (architecture.name == name) return architecture;
    known.push_back(architecture.name);
  }
  throw Error(where + ": architecture '" + name + "' is not one that Sluice knows", "use " + join_or(known));
}

}  // namespace sluice::models
