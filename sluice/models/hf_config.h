// Reads and writes the parts of HF's config.json that all families share, in both styles of key: transformers 4.x spells some settings
// at the top level, 5.x puts them into rope_parameters, dtype and so on; a file that has only one style is silently misread by the other.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "sluice/base/error.h"
#include "sluice/base/json.h"

namespace sluice::models {

// Typed reads with errors that name the file, the key and the value.
class HfConfig {
 public:
  HfConfig(const Json& config, std::string where) : config_(config), where_(std::move(where)) {}
  std::int64_t integer(const char* key) const;  // must be there
  std::int64_t integer(const char* key, std::int64_t otherwise) const;
  std::optional<std::int64_t> optional_integer(const char* key) const;  // absent or null: empty
  double number(const char* key, double otherwise) const;
  bool boolean(const char* key, bool otherwise) const;
  std::string text(const char* key, const std::string& otherwise) const;

  // From rope_parameters or rope_theta; Error when both are there and disagree.
  double rope_theta(double otherwise) const;
  // Error unless the rotary embedding is the plain one, with no scaling.
  void require_default_rope() const;

 private:
  Error wrong(const std::string& key, const Json& value, const std::string& expected) const;
  const Json& config_;
  std::string where_;
};

// Adds rope_theta, rope_scaling (null) and rope_parameters; torch_dtype and dtype.
void write_both_styles(OrderedJson& config, double rope_theta, const std::string& dtype);

}  // namespace sluice::models
