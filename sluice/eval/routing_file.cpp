#include "sluice/eval/routing_file.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/base/nearest.h"
#include "sluice/data/categories.h"

namespace sluice::eval {
namespace {

constexpr const char* kRemedy = "take the file again from the checkpoint, or remove it to evaluate without label preferences";

const Json& at(const Json& object, const char* key, Json::value_t type, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) throw Error(where + " has no \"" + key + "\"", kRemedy);
  if (found->type() != type)
    throw Error(where + ": \"" + std::string(key) + "\" = " + dump_json(*found).substr(0, 60) + " is not of the right kind", kRemedy);
  return *found;
}

// The enum value of the name at `key`.
template <class E>
E named(const Json& object, const char* key, const std::string& where) {
  const std::string name = at(object, key, Json::value_t::string, where).get<std::string>();
  const auto all = names(E{});
  const auto found = std::ranges::find(all, name);
  if (found == all.end()) throw Error(where + ": \"" + key + "\" = " + name + " is not " + join_or({all.begin(), all.end()}), kRemedy);
  return static_cast<E>(found - all.begin());
}

std::vector<double> distribution(const Json& row, const std::string& where) {
  std::vector<double> out;
  for (const Json& share : row.is_array() ? row : Json::array()) {
    if (!share.is_number() || !(share.get<double>() >= 0))
      throw Error(where + ": " + dump_json(share).substr(0, 60) + " is not a probability", kRemedy);
    out.push_back(share.get<double>());
  }
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  // Preferences are computed in float32.
  if (!(std::abs(sum - 1) < 1e-4))
    throw Error(where + ": the preferences of a label sum to " + std::to_string(sum) + ", not to 1", kRemedy);
  return out;
}

}  // namespace

void RoutingFile::require_fits(const models::MoeShape& moe, const std::string& where) const {
  for (const std::int64_t layer : layers) {
    if (layer >= 0 && layer < moe.num_layers) continue;
    throw Error(where + ": supervised layer " + std::to_string(layer) + " is not one of the model's " + std::to_string(moe.num_layers) +
                    " mixture layers",
                kRemedy);
  }
  for (const auto& row : preferences) {
    if (static_cast<std::int64_t>(row.size()) == moe.num_experts) continue;
    throw Error(
        where + ": preferences over " + std::to_string(row.size()) + " experts, but the model has " + std::to_string(moe.num_experts),
        kRemedy);
  }
}

std::optional<RoutingFile> read_routing_file(const fs::path& folder) {
  const fs::path path = folder / kRoutingFileName;
  if (!fs::exists(path)) return std::nullopt;
  const std::string where = path.string();
  const Json object = parse_json(read_file(path), where);
  if (!object.is_object()) throw Error(where + " is not a JSON object", kRemedy);
  RoutingFile file;
  file.target = named<loss::Target>(object, "target", where);
  file.tokens = named<loss::Tokens>(object, "tokens", where);
  for (const Json& name : at(object, "categories", Json::value_t::array, where))
    file.categories.push_back(name.is_string() ? name.get<std::string>() : "");
  data::Categories::parse(file.categories, where + ": \"categories\"");
  for (const Json& layer : at(object, "layers", Json::value_t::array, where)) {
    if (!layer.is_number_unsigned())
      throw Error(where + ": \"layers\" holds " + dump_json(layer).substr(0, 60) + ", which is no layer", kRemedy);
    file.layers.push_back(layer.get<std::int64_t>());
  }
  if (file.layers.empty()) throw Error(where + ": \"layers\" is empty", kRemedy);
  for (const Json& row : at(object, "preferences", Json::value_t::array, where)) file.preferences.push_back(distribution(row, where));
  if (file.preferences.size() != file.categories.size()) {
    throw Error(where + ": " + std::to_string(file.preferences.size()) + " rows of preferences for " +
                    std::to_string(file.categories.size()) + " categories",
                kRemedy);
  }
  return file;
}

void write_routing_file(const fs::path& folder, const RoutingFile& file) {
  const OrderedJson object{{"target", names(file.target)[static_cast<std::size_t>(file.target)]},
                           {"categories", file.categories},
                           {"layers", file.layers},
                           {"tokens", names(file.tokens)[static_cast<std::size_t>(file.tokens)]},
                           {"preferences", file.preferences}};
  write_file_atomic(folder / kRoutingFileName, dump_json(object) + "\n");
}

}  // namespace sluice::eval
