// routing_supervision.json: how a model's routing was supervised, kept beside its weights so that labels can be read back from the router.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/file.h"
#include "sluice/loss/routing_supervision.h"
#include "sluice/models/model.h"

namespace sluice::eval {

inline constexpr const char* kRoutingFileName = "routing_supervision.json";

struct RoutingFile {
  loss::Target target = loss::Target::kBalanced;
  std::vector<std::string> categories;  // label -> name
  std::vector<std::int64_t> layers;     // supervised mixture layers, from 0; at least one
  loss::Tokens tokens = loss::Tokens::kAll;
  std::vector<std::vector<double>> preferences;  // [label][expert]; each row sums to 1

  // Error naming `where` unless the layers and experts are the model's.
  void require_fits(const models::MoeShape& moe, const std::string& where) const;
};

// The file in `folder`; nothing when there is none. Error when it is not whole, of no categories, or no distributions.
std::optional<RoutingFile> read_routing_file(const fs::path& folder);

// Full precision: what is read back is equal to the last bit.
void write_routing_file(const fs::path& folder, const RoutingFile& file);

}  // namespace sluice::eval
